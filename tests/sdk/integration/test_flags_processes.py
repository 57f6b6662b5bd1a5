"""What becomes of flags across fork and exit, each in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sdk.flag_service import FlagService, flag_service, switch

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

BEGIN = """
import os, sys, threading, time, windsock
flags = windsock.get_feature_flags()
def until(held, what):
    end = time.monotonic() + 20
    while not held():
        assert time.monotonic() < end, what
        time.sleep(0.005)
def following():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("windsock-flags")]
"""


@pytest.fixture
def service() -> Iterator[FlagService]:
    with flag_service(switch("f"), switch("go", on=False)) as service:
        yield service


def started(script: str, service: FlagService, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        # Python 3.12 and later warn of any fork beside a thread, which is what is tested here.
        [sys.executable, "-W", "error", "-W", "ignore:This process", "-c", BEGIN + script],
        env={**os.environ, "WINDSOCK_ENDPOINT": service.url, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end; return the code and whatever the process had to say."""
    try:
        said, complained = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, said + complained


def test_the_first_evaluation_starts_to_follow_and_the_end_is_quick(service: FlagService) -> None:
    script = """
assert not following()
windsock.configure()
assert not following()
flags.is_enabled("f")
assert following() == ["windsock-flags", "windsock-flags-clerk"], following()
assert flags.ready(20)
assert flags.is_enabled("f")
"""

    assert ended(started(script, service)) == (0, "")


def test_a_child_follows_on_its_own_and_leaves_the_parent_alone(service: FlagService) -> None:
    script = """
assert flags.ready(20)
child = os.fork()
name = "parent" if child else "child"
assert following() == (["windsock-flags", "windsock-flags-clerk"] if child else [])
assert flags.is_enabled("f"), name
until(lambda: flags.is_enabled("go"), name)
assert len(following()) == 2, name
assert windsock.close(20)
assert not following()
if not child:
    os._exit(0)
_, status = os.waitpid(child, 0)
assert status == 0, status
"""

    process = started(script, service)
    service.wait_for_streams(2)
    service.change(switch("go"))

    assert ended(process) == (0, "")
    assert [stream.last_event_id for stream in service.streams] == [None, "e1-1"]
    service.wait_for_reports(lambda reports: len({each["instance"] for each in reports}) == 2)
    first: dict[str, int] = {}
    for report in service.reports:
        first.setdefault(report["instance"], report["sequence"])
    assert set(first.values()) == {1}


def test_forking_while_changes_arrive_neither_hangs_nor_loses_the_flags(
    service: FlagService,
) -> None:
    script = """
assert flags.ready(20)
stop = threading.Event()
def ask():
    while not stop.is_set():
        assert flags.is_enabled("f")
threads = [threading.Thread(target=ask) for _ in range(2)]
for thread in threads:
    thread.start()
children = []
for number in range(8):
    child = os.fork()
    if child == 0:
        assert flags.is_enabled("f")
        until(lambda: flags.is_enabled("go"), "no change")
        os._exit(0 if windsock.close(20) else 1)
    children.append(child)
    time.sleep(0.02)
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
stop.set()
for thread in threads:
    thread.join()
assert windsock.close(20)
"""
    process = started(script, service)
    service.wait_for_streams(1)
    for number in range(200):
        service.change(switch(f"n-{number % 10}"))
        service.released.wait(0.002)
    service.wait_for_streams(9)
    service.change(switch("go"))

    assert ended(process) == (0, "")


def test_the_threads_import_nothing(service: FlagService, tmp_path: Path) -> None:
    script = """
windsock.configure()
before = set(sys.modules)
assert flags.ready(20)
assert flags.is_enabled("f")
assert flags.details("m", "u", {"plan": "pro"}).variant == "off"
until(lambda: flags.is_enabled("go"), "no change")
assert windsock.close(20)
late = set(sys.modules) - before
assert not late, late
"""
    rule = {
        "when": {"attribute": "plan", "operator": "matches", "value": "p.o"},
        "serve": {"variant": "off"},
    }
    service.flags["m"] = switch("m", rules=[rule])
    backup = str(tmp_path / "backup")
    process = started(script, service, WINDSOCK_FLAGS_BACKUP_FILE=backup)
    service.wait_for_streams(1)
    service.change(switch("go"))

    assert ended(process) == (0, "")


def test_a_worker_of_multiprocessing_reports_before_it_ends(
    service: FlagService, tmp_path: Path
) -> None:
    script = tmp_path / "workers.py"
    script.write_text("""
import multiprocessing, windsock
def work():
    flags = windsock.get_feature_flags()
    assert flags.ready(20)
    assert flags.is_enabled("f")
if __name__ == "__main__":
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    assert process.exitcode == 0
""")
    process = started(
        f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')", service
    )

    assert ended(process) == (0, "")


def test_the_end_of_a_process_does_not_wait_for_a_service_that_hangs(service: FlagService) -> None:
    service.usual = service.hang
    script = """
import atexit
flags.is_enabled("f")
until(lambda: len(following()) == 2, "not started")
started = time.monotonic()
atexit._run_exitfuncs()
# Silence would end it after 15 seconds.
assert time.monotonic() - started < 12
"""
    process = started(script, service)

    assert ended(process) == (0, "")
