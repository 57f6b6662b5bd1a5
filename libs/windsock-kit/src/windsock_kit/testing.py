"""What tests of a service need; never imported by a service."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from windsock_kit import serve


class FakeClock:
    """A clock that moves only when told to; a ``Clock`` when called."""

    def __init__(self, start: datetime = datetime(2025, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._now = start

    def __call__(self) -> datetime:
        """Return the time of day."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds since the start, in place of ``time.monotonic``."""
        return (self._now - self._start).total_seconds()

    def advance(self, seconds: float) -> None:
        """Move on by ``seconds``; a negative number sets the time of day back."""
        self._now += timedelta(seconds=seconds)


@asynccontextmanager
async def running(app: Starlette) -> AsyncGenerator[httpx.AsyncClient]:
    """Enter the lifespan of ``app`` and yield a client that calls it in the same event loop.

    ``httpx.ASGITransport`` does not run the lifespan, so its state is put in the scope here.
    """
    async with app.router.lifespan_context(app) as state:

        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": dict(state or {})}, receive, send)

        transport = httpx.ASGITransport(app=with_state)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client


class _Server(uvicorn.Server):
    """A server that tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit as error:
            # The server is used to ending its process; here that would end the tests.
            raise RuntimeError("the application did not start") from error
        self.listening.set()


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncGenerator[str]:
    """Serve ``app`` over real HTTP on a free port of 127.0.0.1, and yield its base address.

    It runs in the caller's event loop. Raises ``RuntimeError`` when the lifespan fails to start.
    """
    with closing(serve.bind("127.0.0.1", 0)) as listener:
        server = _Server(serve.config(app, timeout_graceful_shutdown=1))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        listening = asyncio.create_task(server.listening.wait())
        try:
            await asyncio.wait({task, listening}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                await task
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listening.cancel()
            server.should_exit = True
            await task
