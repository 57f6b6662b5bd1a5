"""A process that serves: how it starts, stops and refuses to start."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import orjson

PROGRAM = """
import sys
from contextlib import asynccontextmanager
from starlette.applications import Starlette
from starlette.routing import Route
import structlog
from windsock_kit import logs, serve
from windsock_kit.health import livez
from windsock_kit.loops import PeriodicLoop, running

async def die():
    if mode == "mortal":
        raise type("LoopKiller", (BaseException,), {})()

@asynccontextmanager
async def lifespan(app):
    if mode == "broken":
        raise RuntimeError("no settings")
    async with running([PeriodicLoop("job", die, interval=60)]):
        yield
    structlog.get_logger().info("closed")

port, mode = int(sys.argv[1]), sys.argv[2]
logs.configure("demo")
app = Starlette(routes=[Route("/livez", livez)], lifespan=lifespan)
serve.run(app, host="127.0.0.1", port=port)
structlog.get_logger().info("returned")
"""


@asynccontextmanager
async def program(port: int, mode: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", PROGRAM, str(port), mode),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def end_of(process: asyncio.subprocess.Process) -> tuple[list[str], str]:
    """Wait for the end and return the events logged and what went to standard error."""
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    return [orjson.loads(line)["event"] for line in out.splitlines()], err.decode()


async def started(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        while b"startup complete" not in await process.stdout.readline():
            pass


async def test_sigterm_closes_everything_and_shows_in_the_status() -> None:
    async with program(0, "plain") as process:
        await started(process)
        process.send_signal(signal.SIGTERM)
        events, err = await end_of(process)

    assert process.returncode == -signal.SIGTERM
    assert "closed" in events
    assert err == ""


async def test_interrupt_ends_without_a_traceback() -> None:
    async with program(0, "plain") as process:
        await started(process)
        process.send_signal(signal.SIGINT)
        events, err = await end_of(process)

    assert process.returncode == 0
    assert events[-1] == "returned"
    assert err == ""


async def test_dead_loop_takes_the_process_with_it() -> None:
    async with program(0, "mortal") as process:
        events, _ = await end_of(process)

    assert process.returncode == -signal.SIGTERM
    assert "loop_died" in events
    assert "closed" in events


async def test_failed_start_shows_in_the_status() -> None:
    async with program(0, "broken") as process:
        events, _ = await end_of(process)

    assert process.returncode == 3
    assert any("no settings" in event for event in events)


async def test_taken_port_is_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        async with program(port, "plain") as process:
            events, err = await end_of(process)

    assert process.returncode == 1
    assert events == []
    assert err == f"cannot listen on 127.0.0.1:{port}: Address already in use\n"
