"""What the README tells a newcomer to do, done in its order against the suite itself."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.fixtures.servers import REPOSITORY
from tests.fixtures.stacks import EmbeddedStack
from tests.suite.documents import Block, anchors, blocks, markdown_files, prose

README = REPOSITORY / "README.md"
BLOCKS = blocks(README)
GATEWAY = "http://127.0.0.1:8000"
TASKS: dict[str, Any] = yaml.safe_load((REPOSITORY / "Taskfile.yml").read_text())["tasks"]
# They start the suite, or these tests.
NOT_RUN = {"./task up", "./task test"}


def _run(command: list[str], suite: EmbeddedStack) -> subprocess.CompletedProcess[str]:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**os.environ, "PATH": programs, "WINDSOCK_ENDPOINT": suite.gateway},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _command(block: Block, suite: EmbeddedStack) -> list[str] | None:
    # Two weeks of history would take minutes.
    text = block.text.replace(GATEWAY, suite.gateway).replace("--days 14", "--days 1")
    if block.language == "python":
        return [sys.executable, "-W", "error", "-c", text]
    if block.language != "sh" or text.strip() in NOT_RUN:
        return None
    if "/rollout" in text:
        wait = f"{shlex.quote(sys.executable)} -m tests.suite.in_force {suite.gateway}"
        text = re.sub(r"^curl .*/rollout .*$", rf"\g<0>\n{wait}", text, flags=re.MULTILINE)
    if "OTEL_" in text:
        text += f"{shlex.quote(sys.executable)} -m tests.suite.exporting\n"
    # The wrapper would look after .venv; what it runs then is task.
    return ["sh", "-euc", text.replace("./task ", "task --silent ")]


@pytest.fixture(scope="module")
def followed(suite: EmbeddedStack) -> list[subprocess.CompletedProcess[str] | None]:
    """Give what each block of the README printed, in order; ``None`` for what is not run."""
    commands = [_command(block, suite) for block in BLOCKS]
    return [_run(command, suite) if command else None for command in commands]


def _dashboard(suite: EmbeddedStack, operation: str) -> Any:
    answer = httpx.get(
        f"{suite.gateway}/api/metrics/dashboard",
        params={"operation": operation, "environment": "production"},
    )
    return answer.raise_for_status().json()


def _part(answer: Any, shown: Any) -> Any:
    """Return of ``answer`` the members that ``shown`` has."""
    if not isinstance(shown, dict):
        return answer
    return {key: _part(answer[key], value) for key, value in shown.items()}


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_every_block_of_the_readme_works(
    followed: list[subprocess.CompletedProcess[str] | None], number: int
) -> None:
    ended = followed[number]

    if ended is None:
        assert BLOCKS[number].language == "json" or BLOCKS[number].text.strip() in NOT_RUN
    else:
        assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    "number", [number for number, block in enumerate(BLOCKS) if block.language == "json"]
)
def test_an_answer_in_the_readme_is_the_answer_to_the_command_before_it(
    followed: list[subprocess.CompletedProcess[str] | None], number: int
) -> None:
    ended = followed[number - 1]
    shown = json.loads(BLOCKS[number].text)

    assert ended is not None
    assert _part(json.loads(ended.stdout), shown) == shown


def test_what_the_readme_changes_is_changed_in_the_answer_after_it(
    followed: list[subprocess.CompletedProcess[str] | None],
) -> None:
    number = next(n for n, block in enumerate(BLOCKS) if "new_ui_dashboard/rollout" in block.text)
    ended = followed[number]

    assert ended is not None
    assert '"cards":' in ended.stdout
    assert '"action":"rollout"' in ended.stdout


@pytest.mark.usefixtures("followed")
def test_sdk_and_plain_http_count_alike(suite: EmbeddedStack) -> None:
    seen = _dashboard(suite, "answer_question")

    assert seen["performance"]["all_operations"]["count"] == 2
    # 1,200 and 150 tokens each, of which 1,024 cached once: 0.00027 and 0.0001932 dollars.
    assert seen["costs"]["calls"] == 2
    assert seen["costs"]["total_cost_usd"] == 0.0004632
    assert seen["costs"]["cache_hit_rate_percent"] == 50.0
    assert seen["quality"]["avg_quality_score"] == 7.5


@pytest.mark.usefixtures("followed")
def test_an_exporter_with_the_readme_s_variables_is_counted(suite: EmbeddedStack) -> None:
    seen = _dashboard(suite, "exported chat")

    assert seen["performance"]["all_operations"]["count"] == 20
    assert seen["performance"]["all_operations"]["avg_ms"] == 1500.0
    # 600 tokens at 0.15, 400 cached at 0.075 and 100 at 0.60 dollars a million.
    assert seen["costs"]["total_cost_usd"] == 0.0036
    assert seen["costs"]["cache_hit_rate_percent"] == 100.0


@pytest.mark.parametrize(
    "path", markdown_files(), ids=lambda path: str(path.relative_to(REPOSITORY))
)
def test_every_link_leads_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(path))

    for target in targets:
        name, _, anchor = target.partition("#")
        if "://" in target:
            continue
        linked = path if not name else (path.parent / name).resolve()
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize(
    "path", markdown_files(), ids=lambda path: str(path.relative_to(REPOSITORY))
)
def test_every_command_in_a_document_is_a_task(path: Path) -> None:
    named = set(re.findall(r"\./task ([a-z][a-z:]*)", path.read_text()))

    assert named <= TASKS.keys()


def test_every_task_says_what_it_does() -> None:
    assert [name for name, task in TASKS.items() if not task.get("desc")] == []
