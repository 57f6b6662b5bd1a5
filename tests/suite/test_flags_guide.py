"""What docs/flags.md tells people to send and to run, sent and run in its order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.fixtures.servers import REPOSITORY
from tests.fixtures.stacks import EmbeddedStack
from tests.suite.documents import Block, blocks

GUIDE = REPOSITORY / "docs" / "flags.md"
BLOCKS = blocks(GUIDE)
GATEWAY = "http://127.0.0.1:8000"
CURL = re.compile(
    r"curl (?P<stream>-N --max-time 1 )?(?:-X (?P<method>\w+) )?'?(?P<address>[^\s']+)'?"
    r"(?P<headers>(?: -H '[^']*')*)(?: --json '(?P<body>[^']*)')?"
)
# What stands for the change request that was just made.
REQUEST = "change-requests/1"


@dataclass(frozen=True, slots=True)
class Command:
    """A request of the guide. ``stream`` is one that does not end by itself."""

    method: str
    address: str
    headers: dict[str, str]
    body: str | None
    stream: bool


def _commands(block: Block, gateway: str) -> Iterator[Command]:
    base = re.search(r"^at=(\S+)$", block.text, re.MULTILINE)
    for found in CURL.finditer(block.text):
        body = found["body"]
        headers = dict(re.findall(r"-H '([^:]+): ([^']*)'", found["headers"]))
        yield Command(
            found["method"] or ("POST" if body else "GET"),
            found["address"].replace("$at", base[1] if base else "").replace(GATEWAY, gateway),
            headers | ({"Content-Type": "application/json"} if body else {}),
            body,
            found["stream"] is not None,
        )


def _send(client: httpx.Client, command: Command, known: dict[str, str]) -> tuple[int, str]:
    address = re.sub("|".join(known) or "^$", lambda found: known[found[0]], command.address)
    with client.stream(
        command.method, address, content=command.body, headers=command.headers
    ) as answer:
        text = next(answer.iter_text()) if command.stream else answer.read().decode()
    if answer.status_code == 202:
        known[REQUEST] = answer.headers["location"].rpartition("/feature-flags/")[2]
    return answer.status_code, text


def _run(text: str, gateway: str) -> tuple[int, str]:
    """Run a listing and give the status of an answer that would say as much."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", text.replace(GATEWAY, gateway)],
        cwd=REPOSITORY,
        env={**os.environ, "WINDSOCK_ENDPOINT": gateway},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return 500 if ended.returncode else 200, ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def followed(suite: EmbeddedStack) -> dict[str, tuple[int, str]]:
    """Give status and answer of each command, and of each listing of Python, by its text."""
    done = {}
    known: dict[str, str] = {}
    with httpx.Client(timeout=40) as client:
        for block in BLOCKS:
            if block.language == "python":
                done[block.text] = _run(block.text, suite.gateway)
            elif block.language == "sh":
                for command in _commands(block, suite.gateway):
                    said = f"{command.method} {command.address} {command.body}"
                    done[said] = _send(client, command, known)
    return done


def test_every_command_of_the_guide_does_what_it_says(followed: dict[str, Any]) -> None:
    assert len(followed) > 30
    assert {said: answer for said, answer in followed.items() if answer[0] >= 300} == {}


def test_the_user_whom_the_guide_names_is_among_the_first(followed: dict[str, Any]) -> None:
    printed = [text for said, (_, text) in followed.items() if 'user_id="u-11"' in said]

    assert printed == ["one page\n"]


def test_no_command_of_the_guide_is_passed_over() -> None:
    written = sum(len(re.findall(r"^curl ", block.text, re.MULTILINE)) for block in BLOCKS)

    assert written == sum(len(list(_commands(block, GATEWAY))) for block in BLOCKS)
