from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from windsock_embedded import processes
from windsock_embedded.folder import Folder
from windsock_embedded.processes import ProcessRecord, Program, identity


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[tuple[Program, subprocess.Popen[bytes]]]:
    program = Program(
        "sleeper",
        [sys.executable, "-c", "input() if 0 else __import__('time').sleep(60)"],
        tmp_path / "log",
        {},
    )
    process = processes.start(program)
    yield program, process
    process.kill()
    process.wait()


def test_a_recorded_process_is_stopped(
    sleeper: tuple[Program, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    folder = Folder(tmp_path / "data")
    folder.create()
    folder.remember(processes.record_of(*sleeper))

    assert folder.sweep() == ["sleeper"]
    assert sleeper[1].wait(5) == -signal.SIGTERM
    assert folder.records() == []


@pytest.mark.parametrize("recorded", [False, True], ids=["own", "recorded"])
def test_a_paused_process_is_stopped_by_the_first_signal(
    sleeper: tuple[Program, subprocess.Popen[bytes]], *, recorded: bool
) -> None:
    program, process = sleeper
    process.send_signal(signal.SIGSTOP)
    paused = psutil.Process(process.pid)
    assert processes.wait_until(lambda: paused.status() == psutil.STATUS_STOPPED, 5)

    if recorded:
        processes.stop_recorded(processes.record_of(program, process), seconds=1)
    else:
        processes.stop(replace(program, stop_seconds=1), process)

    assert process.wait(5) == -signal.SIGTERM


def test_a_stranger_with_a_recorded_pid_is_spared(
    sleeper: tuple[Program, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    folder = Folder(tmp_path / "data")
    folder.create()
    folder.remember(replace(processes.record_of(*sleeper), identity="another-boot:1"))

    assert folder.sweep() == []
    assert sleeper[1].poll() is None


def test_a_process_keeps_its_identity_and_a_dead_one_has_none(
    sleeper: tuple[Program, subprocess.Popen[bytes]],
) -> None:
    _, process = sleeper
    first = identity(process.pid)

    assert first is not None
    assert first == identity(process.pid)
    assert first != identity(os.getpid())

    process.kill()
    process.wait()
    assert identity(process.pid) is None


def test_a_torn_record_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"name": "x", "pi')

    assert ProcessRecord.load(tmp_path / "x.json") is None
    assert ProcessRecord.load(tmp_path / "absent.json") is None


def test_a_program_that_ignores_signals_is_killed(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    program = Program("deaf", [sys.executable, "-c", code], tmp_path / "log", {}, stop_seconds=0.2)
    process = processes.start(program)
    processes.wait_until(lambda: (tmp_path / "log").read_text() == "1\n", 10)

    processes.stop(program, process)

    assert process.returncode == -signal.SIGKILL


def test_a_second_launcher_does_not_get_the_lock(tmp_path: Path) -> None:
    first, second = Folder(tmp_path), Folder(tmp_path)
    first.create()

    assert first.lock()
    assert not second.lock()
    assert second.locked()

    first.unlock()
    assert not second.locked()
    assert second.lock()
    second.unlock()


def test_only_a_large_log_is_set_aside(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.create()
    folder.log("small").write_text("kept")
    with folder.log("large").open("wb") as log:
        log.truncate(10_000_001)

    folder.bound_logs()

    assert sorted(path.name for path in folder.logs.iterdir()) == ["large.log.1", "small.log"]
