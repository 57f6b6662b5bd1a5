"""The demo against a real metrics service: what it says it sent is what the service answers."""

import re
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO

import httpx
import pytest
import pytest_asyncio
from rich.console import Console

from loadgen.demo.__main__ import main
from loadgen.demo.account import Account
from loadgen.demo.backfill import Demo
from loadgen.demo.options import Options
from loadgen.demo.story import Story
from tests.fixtures.servers import REPOSITORY
from tests.loadgen.integration.suites import Suite, running_suite

SMALL = Story(requests_per_day=150)
TWO_DAYS = 2 * 1440 + 60
COMMAND = [sys.executable, "-W", "error", "-m", "loadgen.demo"]
GATEWAY = "http://127.0.0.1:8000"
DOCUMENT = REPOSITORY / "docs" / "demo.md"
KINDS = ("performance", "llm_call", "quality", "cache", "exposure")


@dataclass(frozen=True)
class Run:
    """A small demo of one day, and what it said."""

    suite: Suite
    demo: Demo
    account: str
    messages: str


def told(demo: Demo) -> str:
    with redirect_stdout(StringIO()) as out:
        assert demo.run() == 0
    return out.getvalue()


@pytest_asyncio.fixture(scope="module")
async def run(
    new_database: Callable[[], Awaitable[str]], tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Run]:
    """Give the first run on a suite that nobody else writes to."""
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    messages = StringIO()
    folder = tmp_path_factory.mktemp("demo")
    async with running_suite(await new_database(), folder, max_age_days=31) as suite:
        demo = Demo(SMALL, end, Options(1, suite.url), None, Console(file=messages, width=200))
        yield Run(suite, demo, told(demo), messages.getvalue())


def numbers(account: str, pattern: str) -> list[int]:
    found = re.search(pattern, account)
    assert found is not None, account
    return [int(text.replace(",", "")) for text in found.groups()]


def stored(account: str) -> dict[str, int]:
    (events,) = re.findall(r"events  (.+)", account)
    parts = [part.split(" ") for part in events.split(", ")]
    return {kind: int(count.replace(",", "")) for count, kind in parts}


def counted(suite: Suite) -> dict[str, int]:
    events = {kind: suite.total(f"{kind}.count") for kind in KINDS}
    return {kind: count for kind, count in events.items() if count}


def test_sums_are_the_demos_own_account(run: Run) -> None:
    assert counted(run.suite) == stored(run.account)
    assert sum(stored(run.account).values()) > 1_000
    costs = run.suite.get("costs", time_window_minutes=TWO_DAYS)
    tokens = costs["tokens"]
    pattern = r"tokens  ([0-9,]+) in \(of them ([0-9,]+) cached\), ([0-9,]+) out"
    assert numbers(run.account, pattern) == [
        tokens["input_tokens"],
        tokens["cached_input_tokens"],
        tokens["output_tokens"],
    ]
    (cost,) = re.findall(r"cost    \$([0-9.]+)", run.account)
    assert Decimal(cost) == Decimal(costs["total_cost_usd"]) > 0
    assert costs["unpriced_calls"] == 0
    assert "gave text-embedding-004 and text-embedding-005 a price" in run.messages


def test_second_run_adds_nothing(run: Run) -> None:
    events = stored(run.account)

    again = told(run.demo)

    assert "  kept    48 half hours already there, 0 events refused\n" in again
    assert "0 requests stored as 0 events" in again
    assert counted(run.suite) == events


def test_commands_at_the_end_show_the_story(run: Run) -> None:
    commands = [shlex.split(line) for line in run.account.splitlines() if line.startswith("  curl")]

    answers = [_asked(command) for command in commands]

    assert len(answers) == 5
    assert all(answer.is_success for answer in answers)
    assert answers[0].json()["performance"]["all_operations"]["count"] > 300
    for answer in answers[1:]:
        assert not answer.json()["notes"]
        for query in answer.json()["queries"]:
            points = [p for series in query["series"] for p in series.get("points", [series])]
            assert any(point["samples"] for point in points), query
    variants = [series["group"] for series in answers[-1].json()["queries"][0]["series"]]
    assert variants == [{"variant": "off"}, {"variant": "on"}]


def test_commands_of_the_document_work(run: Run) -> None:
    blocks = re.findall(r"```sh\n(curl .+?)```", DOCUMENT.read_text(), re.DOTALL)

    answers = [_asked(shlex.split(block.replace(GATEWAY, run.suite.url))) for block in blocks]

    assert len(answers) == 6
    for answer in answers:
        assert answer.is_success
        assert not answer.json()["notes"]
    for answer in answers[1:]:
        for query in answer.json()["queries"]:
            points = [p for series in query["series"] for p in series.get("points", [series])]
            assert any(point["samples"] for point in points), query


def _asked(command: list[str]) -> httpx.Response:
    address = next(word for word in command if word.startswith("http"))
    if "-d" not in command:
        return httpx.get(address)
    return httpx.post(address, content=command[command.index("-d") + 1])


def test_suite_that_refuses_the_age_is_found_out_before_anything_is_stored(
    week_suite: Suite, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["--days", "14", "--endpoint", week_suite.url])

    assert status == 2
    assert capsys.readouterr().err == (
        "demo: the suite takes no events that old, so --days 14 is too many: start metrics-svc with"
        " METRICS_MAX_EVENT_AGE_SECONDS=1214100 or more, or use --days 6\n"
    )
    assert week_suite.total("performance.count") == 0


def test_interrupted_demo_ends_in_order_and_tells_what_is_there(month_suite: Suite) -> None:
    before = Counter(counted(month_suite))
    command = [*COMMAND, "--days", "30", "--endpoint", month_suite.url]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        deadline = time.monotonic() + 30
        while month_suite.total("performance.count") == before["performance"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        demo.send_signal(signal.SIGINT)
        out, err = demo.communicate(timeout=30)

    assert demo.returncode == 130
    assert "Traceback" not in err
    assert "not all of it is there; the same command sends the rest" in err
    assert stored(out) == Counter(counted(month_suite)) - before


def test_suite_that_is_not_running_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--endpoint", "http://127.0.0.1:9"]) == 1

    assert capsys.readouterr().err == (
        "demo: no suite answers at http://127.0.0.1:9: start one with ./task up,"
        " or name another with --endpoint\n"
    )


def test_help_tells_a_newcomer_what_to_do() -> None:
    done = subprocess.run(
        [*COMMAND, "--help"], capture_output=True, text=True, check=True, env={"COLUMNS": "100"}
    )

    assert done.stdout.startswith("usage: ./task demo -- [options]")
    for word in ("./task up", "--days", "WINDSOCK_API_KEY", "Exit status", "docs/demo.md"):
        assert word in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_account_without_events_prints_too() -> None:
    assert "0 requests stored as 0 events" in Account({}).lines(0.0)[0]
