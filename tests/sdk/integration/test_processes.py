"""What happens across fork, exit and kill -9, each in a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.sdk.receiver import Answer, Receiver, receiving

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def run(script: str, url: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        # Python 3.12 and later warn of any fork beside a thread, which is what is tested here.
        [sys.executable, "-W", "error", "-W", "ignore:This process", "-c", script],
        env={**os.environ, "WINDSOCK_ENDPOINT": url, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def operations(receiver: Receiver) -> list[str]:
    return sorted(event["operation"] for event in receiver.events)


def test_a_script_that_just_ends_loses_nothing(receiver: Receiver) -> None:
    script = """
import windsock
with windsock.track_performance("block"):
    pass
windsock.get_metrics_collector().record_llm_cost("call", 10, 20, True)
"""

    ended = run(script, receiver.url, WINDSOCK_DEFAULT_MODEL="gpt-4o")

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert operations(receiver) == ["block", "call"]
    assert [event.get("model") for event in receiver.events] == [None, "gpt-4o"]


def test_the_end_of_a_process_waits_no_longer_than_set(receiver: Receiver) -> None:
    receiver.usual = Answer(hang=True)
    script = """
import time, windsock
windsock.get_metrics_collector().record_quality("evaluate", 7)
started = time.monotonic()
import atexit
atexit._run_exitfuncs()
print(time.monotonic() - started)
"""

    ended = run(script, receiver.url, WINDSOCK_EXIT_TIMEOUT_SECONDS="0.4")

    assert ended.returncode == 0
    assert 0.3 < float(ended.stdout) < 2.0
    assert "closed 1" in ended.stderr


def test_a_forked_child_sends_its_own_events_and_only_those(receiver: Receiver) -> None:
    script = """
import os, windsock
collector = windsock.get_metrics_collector()
collector.record_quality("sent before", 7)
assert collector.flush(10)
collector.record_quality("parent's", 7)
child = os.fork()
if child == 0:
    assert collector.stats().buffered == 0
    assert collector.stats().accepted == 0
    collector.record_quality("child's", 7)
    with windsock.track_performance("child's block"):
        pass
    os._exit(0 if collector.close(10) else 1)
collector.record_quality("parent's too", 7)
_, status = os.waitpid(child, 0)
assert status == 0, status
"""

    ended = run(script, receiver.url)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert operations(receiver) == [
        "child's",
        "child's block",
        "parent's",
        "parent's too",
        "sent before",
    ]
    assert len(set(receiver.attempts)) == len(receiver.attempts)


def test_forking_while_sending_under_load_neither_hangs_nor_doubles(receiver: Receiver) -> None:
    script = """
import os, threading, windsock
windsock.configure(max_batch_events=50, flush_interval_seconds=0.01, max_buffer_events=100_000)
collector = windsock.get_metrics_collector()
def record(name, count):
    for n in range(count):
        collector.record_quality(f"{name}-{n}", 7)
threads = [threading.Thread(target=record, args=(f"thread{n}", 2_000)) for n in range(2)]
for thread in threads:
    thread.start()
children = []
for n in range(8):
    child = os.fork()
    if child == 0:
        record(f"child{n}", 100)
        os._exit(0 if collector.close(20) else 1)
    children.append(child)
for thread in threads:
    thread.join()
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
assert collector.close(20)
assert collector.stats().dropped_total == 0
"""

    ended = run(script, receiver.url)

    assert (ended.returncode, ended.stderr) == (0, "")
    names = operations(receiver)
    assert len(names) == len(set(names)) == 2 * 2_000 + 8 * 100


def test_workers_of_multiprocessing_send_before_they_end(
    receiver: Receiver, tmp_path: Path
) -> None:
    script = tmp_path / "workers.py"
    script.write_text("""
import multiprocessing, windsock
def work(n):
    with windsock.track_performance(f"work {n}"):
        pass
if __name__ == "__main__":
    for method in ("fork", "spawn"):
        process = multiprocessing.get_context(method).Process(target=work, args=(method,))
        process.start()
        process.join()
        assert process.exitcode == 0
""")

    ended = run(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')", receiver.url)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert operations(receiver) == ["work fork", "work spawn"]


def spool(directory: Path) -> dict[str, str]:
    return {"WINDSOCK_SPOOL_DIR": str(directory), "WINDSOCK_MAX_BATCH_EVENTS": "5"}


RECORD_AND_DIE = """
import os, signal, sys, windsock
collector = windsock.get_metrics_collector()
for n in range(30):
    collector.record_quality(f"{sys.argv[0]}{n}", 7)
while collector.stats().spooled_batches < 6:
    collector.flush(0.05)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_spooled_is_sent_once_by_one_of_the_next(tmp_path: Path) -> None:
    with receiving() as down:
        down.usual = Answer(503)
        killed = run(RECORD_AND_DIE, down.url, **spool(tmp_path))
        assert killed.returncode == -signal.SIGKILL
    spooled = {path.name.split("-", 1)[1].rsplit("-", 1)[0] for path in tmp_path.glob("*.batch")}
    assert len(spooled) == 6

    with receiving() as up:
        script = "import windsock; assert windsock.flush(20)"
        next_ones = [
            subprocess.Popen(
                [sys.executable, "-W", "error", "-c", script],
                env={
                    **os.environ,
                    "WINDSOCK_ENDPOINT": up.url,
                    "WINDSOCK_SPOOL_DIR": str(tmp_path),
                },
            )
            for _ in range(3)
        ]
        assert [process.wait(60) for process in next_ones] == [0, 0, 0]

        assert set(up.attempts) == spooled
        assert len(up.attempts) == 6
        assert len({event["operation"] for event in up.events}) == len(up.events) == 30
    assert list(tmp_path.iterdir()) == []


def test_configuring_is_enough_to_send_what_was_left_behind(
    receiver: Receiver, tmp_path: Path
) -> None:
    with receiving() as down:
        down.usual = Answer(503)
        assert run(RECORD_AND_DIE, down.url, **spool(tmp_path)).returncode == -signal.SIGKILL
    script = """
import sys, windsock
windsock.configure(flush_interval_seconds=0.05)
sys.stdin.read()
"""

    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script],
        env={**os.environ, "WINDSOCK_ENDPOINT": receiver.url, **spool(tmp_path)},
        stdin=subprocess.PIPE,
    ) as process:
        receiver.wait_for_events(30)
        process.communicate()

    assert process.returncode == 0


def test_a_batch_that_the_service_stored_before_the_kill_counts_once(tmp_path: Path) -> None:
    with receiving() as receiver:
        receiver.answers.append(Answer(cut=True, keep=True))
        receiver.usual = Answer(503)
        killed = run(RECORD_AND_DIE, receiver.url, **spool(tmp_path))
        assert killed.returncode == -signal.SIGKILL
        receiver.usual = Answer()
        script = "import windsock; assert windsock.flush(20)"
        assert run(script, receiver.url, WINDSOCK_SPOOL_DIR=str(tmp_path)).returncode == 0

        assert len({event["operation"] for event in receiver.events}) == len(receiver.events) == 30
        assert len(receiver.stored) == 6


def test_the_sender_imports_nothing(receiver: Receiver, tmp_path: Path) -> None:
    script = """
import sys, windsock
before = set(sys.modules)
collector = windsock.get_metrics_collector()
collector.record_quality("evaluate", 7)
assert collector.flush(10)
late = set(sys.modules) - before
assert not late, late
"""
    receiver.answers.append(Answer(503, {"Retry-After": "Sat, 29 Nov 2025 12:00:00 GMT"}))

    ended = run(script, receiver.url, WINDSOCK_SPOOL_DIR=str(tmp_path))

    assert ended.returncode == 0, ended.stderr


def test_importing_starts_nothing_and_loads_little(receiver: Receiver) -> None:
    script = """
import sys, threading, windsock
assert threading.active_count() == 1
heavy = {"asyncio", "multiprocessing", "urllib.request", "concurrent.futures"} & set(sys.modules)
assert not heavy, heavy
"""

    ended = run(script, receiver.url)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert receiver.requests == []


SERVED = """
import os, signal
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from windsock.integrations.asgi import WindsockMiddleware
from windsock_kit import serve

async def last(request):
    os.kill(os.getpid(), signal.SIGTERM)
    return PlainTextResponse("bye")

app = Starlette(routes=[Route("/last", last)])
app.add_middleware(WindsockMiddleware)
listener = serve.bind("127.0.0.1", 0)
print(listener.getsockname()[1], flush=True)
uvicorn.Server(serve.config(app)).run(sockets=[listener])
"""


def test_a_server_that_is_told_to_stop_sends_its_last_request(receiver: Receiver) -> None:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SERVED],
        env=os.environ
        | {"WINDSOCK_ENDPOINT": receiver.url, "WINDSOCK_FLUSH_INTERVAL_SECONDS": "60"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        # The kernel keeps the connection until the server takes it.
        answer = httpx.get(f"http://127.0.0.1:{port}/last", timeout=30, trust_env=False)
        ended = process.wait(timeout=30)

    assert answer.text == "bye"
    # The server raises the signal again when it is done, so that nothing runs at exit.
    assert ended == -signal.SIGTERM
    assert operations(receiver) == ["GET /last"]
