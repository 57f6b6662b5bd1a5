"""What docs/instrumenting.md tells a newcomer to do, done in its order against the suite itself."""

from __future__ import annotations

import difflib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fixtures.servers import REPOSITORY
from tests.fixtures.stacks import EmbeddedStack
from tests.suite.documents import Block, blocks
from windsock_embedded import ports
from windsock_embedded.processes import wait_until

PAGE = REPOSITORY / "docs" / "instrumenting.md"
BLOCKS = blocks(PAGE)
GATEWAY = "http://127.0.0.1:8000"
SIMULATOR = "http://127.0.0.1:8011"
# It starts the suite, which is there.
NOT_RUN = {"./task up -- --detach"}
LISTINGS = [block.text for block in BLOCKS if block.text.startswith("# ask.py\n")]


@dataclass(frozen=True, slots=True)
class Followed:
    """What each command of the page printed, by the number of its block, and where it ran."""

    printed: dict[int, subprocess.CompletedProcess[str]]
    gateway: str


@pytest.fixture(scope="module")
def simulator() -> Iterator[str]:
    """Give the address of a model provider of the page's own, with nobody else's calls."""
    port = ports.free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "llm_simulator"],
        env={**os.environ, "SIMULATOR_PORT": str(port), "SIMULATOR_TIME_SCALE": "0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(f"{address}/livez"), seconds=20)
        yield address
    finally:
        process.terminate()
        process.wait(10)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def followed(
    suite: EmbeddedStack, simulator: str, tmp_path_factory: pytest.TempPathFactory
) -> Followed:
    """Give the outcome of the page, followed from top to bottom in an empty folder."""
    folder = tmp_path_factory.mktemp("instrumenting")
    exports = ""
    printed = {}
    for number, block in enumerate(BLOCKS):
        text = block.text.replace(GATEWAY, suite.gateway).replace(SIMULATOR, simulator)
        if block.language == "python":
            (folder / _file_of(block)).write_text(text)
        elif _is_flags(block):
            (folder / "flags.json").write_text(text)
        elif text.startswith("export "):
            exports += text
        elif block.language == "sh" and text.strip() not in NOT_RUN:
            text = text.replace("8080", str(ports.free_port()))
            printed[number] = _run(exports + text, folder, suite)
    return Followed(printed, suite.gateway)


def _file_of(block: Block) -> str:
    name = block.text.partition("\n")[0].removeprefix("# ")
    assert name.endswith(".py"), "a listing of the page begins with the name of its file"
    return name


def _is_flags(block: Block) -> bool:
    return block.language == "json" and block.text.startswith('{"flags"')


def _run(text: str, folder: Path, suite: EmbeddedStack) -> subprocess.CompletedProcess[str]:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-euc", text],
        cwd=folder,
        env={
            **os.environ,
            "PATH": programs,
            "PYTHONPATH": str(folder),
            # The plugins of pytest have warnings of their own.
            "PYTHONWARNINGS": "default" if "pytest" in text else "error",
            "WINDSOCK_ENDPOINT": suite.gateway,
        },
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def _commands() -> list[int]:
    return [
        number
        for number, block in enumerate(BLOCKS)
        if block.language == "sh"
        and block.text.strip() not in NOT_RUN
        and not block.text.startswith("export ")
    ]


def _answers_shown() -> list[int]:
    return [
        number
        for number, block in enumerate(BLOCKS)
        if block.language == "json" and not _is_flags(block)
    ]


def _holds(answer: Any, shown: Any) -> bool:
    """Say whether ``answer`` has all that ``shown`` has; of a list, each in some element."""
    if isinstance(shown, dict):
        return all(_holds(answer[key], value) for key, value in shown.items())
    if isinstance(shown, list):
        return all(any(_holds(element, value) for element in answer) for value in shown)
    same: bool = answer == shown
    return same


def _ask(followed: Followed, endpoint: str, **parameters: str) -> Any:
    answer = httpx.get(f"{followed.gateway}/api/metrics/{endpoint}", params=parameters)
    return answer.raise_for_status().json()


@pytest.mark.parametrize("number", _commands())
def test_every_command_of_the_page_works(followed: Followed, number: int) -> None:
    ended = followed.printed[number]

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    assert "WARNING" not in ended.stderr


@pytest.mark.parametrize("number", _answers_shown())
def test_an_answer_on_the_page_is_the_answer_to_the_command_before_it(
    followed: Followed, number: int
) -> None:
    answered = followed.printed[number - 1].stdout.splitlines()[-1]

    assert _holds(json.loads(answered), json.loads(BLOCKS[number].text)), answered


def test_every_listing_of_the_page_is_run() -> None:
    commands = " ".join(block.text for block in BLOCKS if block.language == "sh")
    modules = {
        _file_of(block).removesuffix(".py") for block in BLOCKS if block.language == "python"
    }

    assert {name for name in modules if name not in commands} == set()


def test_the_second_listing_adds_at_most_ten_lines_and_changes_none() -> None:
    before, after = LISTINGS

    changes = [
        line
        for line in difflib.ndiff(before.splitlines(), after.splitlines())
        if not line.startswith("  ")
    ]

    assert [line for line in changes if not line.startswith("+ ")] == []
    assert len(changes) <= 10
    marks = [int(line.rpartition("# ")[2]) for line in changes]
    assert marks == list(range(1, len(changes) + 1))


def test_a_stream_is_priced_like_any_other_call(followed: Followed) -> None:
    seen = _ask(followed, "costs", environment="trial", operation="chat")

    assert seen["calls"] == 1
    assert seen["unpriced_calls"] == 0
    assert seen["tokens"]["output_tokens"] > 0


def test_runs_have_the_priority_of_their_state(followed: Followed) -> None:
    seen = _ask(followed, "performance", environment="trial", operation="grade_question")

    priorities = {row["gap_priority"]: row["count"] for row in seen["gap_priorities"]}
    assert priorities["CRITICAL"] == priorities["LOW"] == 1
    assert seen["operations"][0]["operation"] == "grade_question"


def test_a_request_and_its_nodes_are_recorded(followed: Followed) -> None:
    seen = _ask(followed, "performance", environment="trial", operation="GET /questions/{skill}")

    (row,) = seen["operations"]
    assert (row["count"], row["error_count"]) == (1, 0)
