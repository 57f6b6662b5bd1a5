"""The demo's part of the embedded stack, with stand-ins for its programs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator

import httpx
import psutil
import pytest

from tests.fixtures.servers import REPOSITORY, in_memory, server_folder
from tests.fixtures.stacks import LAUNCHER, EmbeddedStack
from windsock_embedded.processes import wait_until

DEMO = ("llm-simulator", "adaptive-questions", "trickle")


@pytest.fixture
def demo(request: pytest.FixtureRequest) -> Iterator[EmbeddedStack]:
    """Give a stack with a demo that is not up yet; a parameter names another launcher."""
    launcher: str = getattr(request, "param", LAUNCHER)
    with server_folder(in_memory()) as folder:
        stack = EmbeddedStack(folder, launcher=launcher, demo=True)
        yield stack
        stack.run("down")
        assert stack.left() == []


def test_the_demo_comes_last_and_goes_first(demo: EmbeddedStack) -> None:
    with subprocess.Popen(
        demo.command("up"), cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as launcher:
        assert launcher.stdout
        head = "".join(iter(launcher.stdout.readline, "Ctrl-C stops everything.\n"))
        running = demo.processes()
        launcher.send_signal(signal.SIGINT)
        rest = launcher.stdout.read()

    assert launcher.returncode == 0
    ready = [line.split()[0] for line in head.splitlines() if " ready " in line]
    assert ready[-3:] == ["gateway", "llm-simulator", "adaptive-questions"]
    assert [line.split()[0] for line in rest.splitlines() if line.endswith("stopped")] == [
        *("trickle", "adaptive-questions", "llm-simulator", "gateway"),
        *("flags-svc", "alerts-svc", "metrics-svc", "redis", "postgres"),
    ]
    assert not [process for process in running if process.is_running()]


def test_it_is_said_what_the_demo_is_and_how_to_do_without(shared_stack: EmbeddedStack) -> None:
    again, status = shared_stack.run("up"), shared_stack.run("status")

    questions = f"{shared_stack.gateway}/api/adaptive-questions"
    for said in (again.stdout, status.stdout):
        assert f"adaptive-questions http://127.0.0.1:{shared_stack.ports['workload']}\n" in said
        assert f"llm-simulator      http://127.0.0.1:{shared_stack.ports['simulator']}\n" in said
        assert f"{questions}/docs\n" in said
        assert f"curl {questions}/generate -H " in said
        assert f"./task demo -- --days 14 --endpoint {shared_stack.gateway}\n" in said
        assert "./task up -- --no-demo\n" in said
    for name in DEMO:
        assert f"{name:<18} running, pid {shared_stack.pid(name)}" in status.stdout


def test_metrics_svc_is_told_to_watch_the_demo(shared_stack: EmbeddedStack) -> None:
    seen = httpx.get(f"{shared_stack.gateway}/api/metrics/x").json()

    assert seen["probes"] == (
        f",llm-simulator=http://127.0.0.1:{shared_stack.ports['simulator']}/livez"
        f",adaptive-questions=http://127.0.0.1:{shared_stack.ports['workload']}/livez"
    )


def test_left_out_by_the_variable_nothing_of_it_runs_and_its_ports_may_be_taken(
    demo: EmbeddedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINDSOCK_NO_DEMO", "1")
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", demo.ports["workload"]))
        holder.listen()
        up = demo.up()

    recorded = {path.name.partition(".")[0] for path in demo.folder.glob("run/*.process.json")}
    assert recorded == {"postgres", "redis", "metrics-svc", "alerts-svc", "flags-svc", "gateway"}
    assert "demo" not in up.stdout
    assert httpx.get(f"{demo.gateway}/api/metrics/x").json()["probes"] == ""


@pytest.mark.parametrize("name", ["workload", "simulator"])
def test_a_port_of_the_demo_that_is_taken_is_told_with_both_ways_out(
    demo: EmbeddedStack, name: str
) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", demo.ports[name]))
        holder.listen()

        done = demo.run("up", "--detach")

    assert done.returncode == 1
    assert f"port {demo.ports[name]} for {name} is taken by " in done.stderr
    assert f"--{name}-port PORT or WINDSOCK_{name.upper()}_PORT=PORT" in done.stderr
    assert "leave the demo out with --no-demo" in done.stderr
    assert "ready" not in done.stdout


def test_a_part_of_the_demo_that_dies_is_started_again(demo: EmbeddedStack) -> None:
    demo.up()
    before = {name: demo.pid(name) for name in DEMO}

    for pid in before.values():
        os.kill(pid, signal.SIGKILL)

    assert wait_until(lambda: all(_runs_anew(demo, name, before[name]) for name in DEMO), 20)


def _runs_anew(stack: EmbeddedStack, name: str, before: int) -> bool:
    try:
        pid = stack.pid(name)
    except FileNotFoundError:
        return False
    return pid != before and psutil.pid_exists(pid)


@pytest.mark.parametrize(
    "demo", ["tests.infra.integration.broken_demo"], indirect=True, ids=["broken"]
)
def test_a_demo_that_does_not_start_costs_nobody_his_suite(demo: EmbeddedStack) -> None:
    up = demo.up()

    log = demo.folder / "logs" / "adaptive-questions.log"
    assert (
        f"  adaptive-questions ended with status 1 at its start (log: {log}); everything else is up\n"
        "    no model for me\n"
    ) in up.stdout
    assert httpx.get(f"{demo.gateway}/api/metrics/x").status_code == 200
    assert demo.pid("trickle")
