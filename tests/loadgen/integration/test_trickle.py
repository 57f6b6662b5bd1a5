"""The trickle against a small real server, and against the real workload."""

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadgen.trickle.__main__ import main
from loadgen.trickle.requests import PREFIX
from tests.adaptive_questions.processes import running_simulator, running_workload
from tests.loadgen.integration.workload import Fault, WorkloadStub, running_workload_stub

COMMAND = [sys.executable, "-W", "error", "-u", "-m", "loadgen.trickle"]
FAST = ["--rate", "30000"]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkloadStub]:
    with running_workload_stub() as stub:
        monkeypatch.setenv("WINDSOCK_ENDPOINT", stub.url)
        monkeypatch.delenv("WINDSOCK_API_KEY", raising=False)
        yield stub


def test_requests_are_made_until_their_number_is_reached(
    stub: WorkloadStub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FAST, "--requests", "60"]) == 0

    assert stub.requests == 60
    assert set(stub.paths) <= {
        f"{PREFIX}/{path}"
        for path in ("batch-generate", "generate", "generate/stream", "evaluate", "refine")
    }
    assert len(stub.users) > 10
    assert len(stub.sessions) >= len(stub.users)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].endswith("trickle: ended; " + last_counts(lines))
    assert "60 sent, 60 answered, 0 failed" in lines[-1]
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", line) for line in lines)


def last_counts(lines: list[str]) -> str:
    return lines[-1].partition("; ")[2]


def test_embedding_models_have_a_price_before_the_first_request(
    stub: WorkloadStub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FAST, "--requests", "1"]) == 0

    assert stub.prices_set == 1
    assert "gave text-embedding-004 and text-embedding-005 a price" in capsys.readouterr().out


def test_missing_prices_are_a_warning(
    stub: WorkloadStub, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.has_prices = False

    assert main([*FAST, "--requests", "5"]) == 0

    assert capsys.readouterr().out.count("the embedding models have no price yet") == 1


def test_duration_ends_it_too(stub: WorkloadStub, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FAST, "--duration", "0.2"]) == 0

    assert 1 < stub.requests < 200
    assert f"{stub.requests} answered" in capsys.readouterr().out


def test_duration_ends_it_though_requests_are_due_faster_than_they_can_be_made(
    stub: WorkloadStub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--rate", "1e9", "--duration", "0.2"]) == 0

    (left_out,) = re.findall(r"ended; .* (\d+) left out", capsys.readouterr().out)
    assert int(left_out) < 1_000_000


def test_failures_of_every_kind_are_counted_and_survived(
    stub: WorkloadStub, capsys: pytest.CaptureFixture[str]
) -> None:
    faults: list[Fault | None] = ["failed", "wrong", "failed", None, "cut"]
    stub.faults.extend(faults)

    assert main([*FAST, "--requests", "40", "--seed", "3"]) == 0

    total = capsys.readouterr().out.splitlines()[-1]
    assert "40 sent, 36 answered, 4 failed" in total
    for why in ("500: 2", "422: 1", "broken off: 1"):
        assert why in total


def test_stream_without_a_question_is_a_failure(
    stub: WorkloadStub, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.faults.extend(["half a stream"] * 200)

    assert main([*FAST, "--requests", "60"]) == 0

    streams = stub.paths[f"{PREFIX}/generate/stream"]
    assert streams > 0
    assert f"{60 - streams} answered, {streams} failed (stream failed: {streams})" in (
        capsys.readouterr().out
    )


def test_workload_in_trouble_gets_fewer_requests(
    stub: WorkloadStub, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.faults.append("busy")

    assert main([*FAST, "--requests", "20"]) == 0

    total = capsys.readouterr().out.splitlines()[-1]
    assert "20 sent, 19 answered, 1 failed (503: 1)" in total
    (left_out,) = re.findall(r"(\d+) left out", total)
    assert int(left_out) > 10


def test_trickle_that_nobody_answered_has_failed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FAST, "--requests", "3", "--endpoint", "http://127.0.0.1:9"]) == 1

    said = capsys.readouterr().out
    assert "nothing answers at http://127.0.0.1:9/api/metrics/prices" in said
    assert "3 sent, 0 answered, 3 failed (no connection: 3)" in said


def test_at_most_eight_requests_are_under_way(
    stub: WorkloadStub, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.together = threading.Barrier(8)

    assert main([*FAST, "--requests", "24"]) == 0

    assert stub.most_at_once == 8
    assert "24 sent, 24 answered, 0 failed" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_though_requests_hang(stub: WorkloadStub, number: signal.Signals) -> None:
    stub.faults.extend(["hang"] * 1000)
    with subprocess.Popen(
        [*COMMAND, *FAST], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as trickle:
        assert stub.arrived.wait(30)
        trickle.send_signal(number)
        out, err = trickle.communicate(timeout=20)

    assert trickle.returncode == 0
    assert err == ""
    assert not stub.released.is_set()
    assert re.search(r"ended; [1-8] sent, 0 answered, 0 failed", out)


def test_second_signal_ends_it_at_once_though_the_suite_hangs(stub: WorkloadStub) -> None:
    stub.prices_hang = True
    with subprocess.Popen(
        [*COMMAND, *FAST], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as trickle:
        assert stub.arrived.wait(30)
        trickle.send_signal(signal.SIGINT)
        trickle.send_signal(signal.SIGTERM)
        _, err = trickle.communicate(timeout=20)

    assert (trickle.returncode, err) == (0, "")
    assert stub.requests == 0


def test_help_tells_a_newcomer_what_to_do() -> None:
    done = subprocess.run(
        [*COMMAND, "--help"], capture_output=True, text=True, check=True, env={"COLUMNS": "100"}
    )

    for word in ("Azure", "--rate", "http://127.0.0.1:8010", "WINDSOCK_ENDPOINT", "Exit status"):
        assert word in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 104


async def test_real_workload_answers_all_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with (
        running_simulator(tmp_path) as simulator,
        running_workload(tmp_path, simulator, QUESTIONS_LOG_LEVEL="warning") as workload,
    ):
        # So many have every kind of request among them.
        status = main(["--rate", "1200", "--requests", "20", "--endpoint", workload.url])

    assert status == 0
    assert "20 sent, 20 answered, 0 failed" in capsys.readouterr().out
