"""The command as an operator runs it: a process with signals, pipes and an exit status."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.loadgen.integration.receiver import Receiver

DATA = Path(__file__).parents[2] / "data"
COMMAND = [sys.executable, "-W", "error", "-m", "loadgen.replay"]


def test_help_tells_a_newcomer_what_to_do() -> None:
    done = subprocess.run(
        [*COMMAND, "--help"], capture_output=True, text=True, check=True, env={"COLUMNS": "100"}
    )

    assert done.stdout.startswith("usage: ./task replay -- FILE [options]")
    for word in ("TIMESTAMP,ContextTokens,GeneratedTokens", "hash_ids", "./task up", "--speed"):
        assert word in done.stdout
    for word in ("gpt-4o-mini", "http://127.0.0.1:8000", "WINDSOCK_API_KEY", "Exit status"):
        assert word in done.stdout
    named = re.findall(r"tests/data/\S+", done.stdout)
    assert len(named) == 2
    assert all((DATA / Path(name).name).is_file() for name in named)
    assert max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_replay_ends_in_order_with_its_account(
    receiver: Receiver, number: signal.Signals
) -> None:
    trace = str(DATA / "azure-code.csv")
    with subprocess.Popen(
        [*COMMAND, trace, "--speed", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    ) as replay:
        assert receiver.first_stored.wait(30)
        replay.send_signal(number)
        out, err = replay.communicate(timeout=30)

    assert replay.returncode == 130
    assert f"{len(receiver.calls):,} of 200 calls confirmed" in out
    assert "Traceback" not in err


def test_interrupt_ends_the_waiting_for_a_suite_that_is_down(receiver: Receiver) -> None:
    command = [*COMMAND, str(DATA / "mooncake-conversation.jsonl")]
    receiver.faults.extend(["unavailable"] * 100_000)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as replay:
        assert receiver.first_request.wait(30)
        replay.send_signal(signal.SIGINT)
        _, err = replay.communicate(timeout=30)

    assert replay.returncode == 130
    assert "Traceback" not in err
