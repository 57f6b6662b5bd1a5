from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess

import asyncpg
import httpx
import psutil
import pytest

from tests.fixtures.servers import REPOSITORY
from tests.fixtures.stacks import EmbeddedStack
from windsock_embedded import postgres
from windsock_embedded.processes import wait_until


def test_a_detached_stack_answers_and_leaves_nothing_when_down(stack: EmbeddedStack) -> None:
    up = stack.up()
    answer = httpx.get(f"{stack.gateway}/api/metrics/anything")
    running = stack.processes()

    down = stack.run("down")

    assert answer.status_code == 200
    assert f"gateway            {stack.gateway}" in up.stdout
    assert f"curl {stack.gateway}/api/alerts " in up.stdout
    assert f"curl {stack.gateway}/api/feature-flags " in up.stdout
    assert up.stdout.endswith(f"\n./task down -- --data-dir {stack.folder} stops it.\n")
    assert "password" in up.stdout
    assert (stack.folder / "postgres.password").read_text().strip() not in up.stdout
    assert down.returncode == 0, down.stderr
    assert not [process for process in running if _lives(process)]


def test_what_a_killed_launcher_leaves_is_gone_at_the_next_start(stack: EmbeddedStack) -> None:
    stack.up()
    before = stack.processes()

    before[0].send_signal(signal.SIGKILL)
    again = stack.up()

    assert not [process for process in before if _lives(process)]
    assert httpx.get(f"{stack.gateway}/healthz").status_code == 200
    assert "Windsock is up." in again.stdout


def _lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


async def test_data_is_there_again_after_down_and_up(stack: EmbeddedStack) -> None:
    stack.up()
    server = postgres.running(stack.folder, port=stack.ports["postgres"])
    connection = await asyncpg.connect(server.url())
    await connection.execute("CREATE TABLE metrics.kept AS SELECT 7 AS a")
    await connection.close()

    stack.run("down")
    stack.up()

    connection = await asyncpg.connect(server.url())
    assert await connection.fetchval("SELECT a FROM metrics.kept") == 7
    await connection.close()


def test_a_second_up_says_that_it_is_up_already(stack: EmbeddedStack) -> None:
    stack.up()
    launcher = stack.pid("launcher")

    second = stack.run("up")

    assert second.returncode == 0
    assert "already" in second.stdout
    assert stack.gateway in second.stdout
    assert stack.pid("launcher") == launcher


def test_a_service_that_dies_is_started_again_and_it_is_said(stack: EmbeddedStack) -> None:
    stack.up()
    pid = stack.pid("metrics-svc")

    os.kill(pid, signal.SIGKILL)

    assert wait_until(lambda: _pid_behind(stack) not in {None, pid}, 20)
    said = (stack.folder / "logs" / "launcher.log").read_text()
    assert "metrics-svc        was killed by SIGKILL; starting it again in 0.5 s" in said


def _pid_behind(stack: EmbeddedStack) -> int | None:
    answer = httpx.get(f"{stack.gateway}/api/metrics/pid")
    return int(answer.json()["pid"]) if answer.status_code == 200 else None


def test_a_killed_gateway_leaves_no_workers_and_comes_back(stack: EmbeddedStack) -> None:
    stack.up()
    master = psutil.Process(stack.pid("gateway"))
    workers = master.children()

    master.kill()

    assert wait_until(lambda: not any(_lives(worker) for worker in workers), 10)
    assert wait_until(lambda: _answers(stack), 20)


def _answers(stack: EmbeddedStack) -> bool:
    try:
        return httpx.get(f"{stack.gateway}/healthz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("name", ["gateway", "metrics", "alerts", "flags", "postgres", "redis"])
def test_a_taken_port_is_named_with_how_to_choose_another(stack: EmbeddedStack, name: str) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", stack.ports[name]))
        holder.listen()

        done = stack.run("up", "--detach")

    assert done.returncode == 1
    assert f"port {stack.ports[name]} for {name} is taken by " in done.stderr
    assert f"pid {os.getpid()}" in done.stderr
    assert f"--{name}-port PORT or WINDSOCK_{name.upper()}_PORT=PORT" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_chosen_twice_is_refused(stack: EmbeddedStack) -> None:
    stack.ports["redis"] = stack.ports["gateway"]

    done = stack.run("up", "--detach")

    assert done.returncode == 1
    assert "chosen for redis and gateway" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_everything_in_reverse_order(
    stack: EmbeddedStack, number: signal.Signals
) -> None:
    with subprocess.Popen(
        stack.command("up"), cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as launcher:
        assert launcher.stdout
        head = "".join(iter(launcher.stdout.readline, "Ctrl-C stops everything.\n"))
        launcher.send_signal(number)
        rest = launcher.stdout.read()

    assert launcher.returncode == 0
    assert "Windsock is up." in head
    assert [line.split()[0] for line in rest.splitlines() if line.endswith("stopped")] == [
        "gateway",
        "flags-svc",
        "alerts-svc",
        "metrics-svc",
        "redis",
        "postgres",
    ]


def test_a_launcher_ends_with_the_process_that_it_follows(stack: EmbeddedStack) -> None:
    command = stack.command("up", "--follow-parent")
    with subprocess.Popen(
        ["/bin/sh", "-c", '"$@"; :', "sh", *command], cwd=REPOSITORY, stdout=subprocess.PIPE
    ) as shell:
        assert shell.stdout
        for line in shell.stdout:
            if line.startswith(b"Ctrl-C"):
                break
        running = stack.processes()
        shell.kill()

    assert wait_until(lambda: not any(_lives(process) for process in running), 20)


def test_down_and_status_without_a_stack_say_so(stack: EmbeddedStack) -> None:
    down, status = stack.run("down"), stack.run("status")

    assert (down.returncode, down.stdout) == (0, "Nothing is up.\n")
    assert (status.returncode, status.stdout) == (1, "Nothing is up.\n")


def test_a_reader_that_has_enough_is_no_error(stack: EmbeddedStack) -> None:
    command = " ".join(shlex.quote(word) for word in stack.command("status"))

    ended = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | true"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "Traceback" not in ended.stderr
    assert "BrokenPipe" not in ended.stderr
