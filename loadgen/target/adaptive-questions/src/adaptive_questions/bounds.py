"""What bounds a request: the places that there are, and the time that it has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge
from starlette.types import Receive, Scope, Send

from adaptive_questions.wire.problems import BusyError, DeadlineError
from windsock_kit.asgi import HttpMiddleware

_RETRY_SECONDS = 1.0


class Places:
    """The requests that may be at work at one time, as many as ``most``."""

    def __init__(self, most: int, registry: CollectorRegistry) -> None:
        self._most = most
        self._taken = 0
        self._refused = Counter(
            "questions_requests_refused",
            "Requests answered 503 because as many were at work as may be.",
            registry=registry,
        )
        Gauge(
            "questions_requests_at_work", "Requests at work, streams too.", registry=registry
        ).set_function(lambda: self._taken)

    @contextmanager
    def one(self) -> Generator[None]:
        """Take a place for the length of the block; raises ``BusyError`` where none is free."""
        if self._taken >= self._most:
            self._refused.inc()
            raise BusyError(
                f"{self._most} requests are at work, which is as many as may be",
                retry_after=_RETRY_SECONDS,
            )
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


class TakesPlace(HttpMiddleware):
    """Lets a request begin when there is a place, and keep it until its answer is sent to the end."""

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or refuse it at once: those that wait would only take memory."""
        places: Places = scope["state"]["places"]
        with places.one():
            await self._app(scope, receive, send)


@asynccontextmanager
async def deadline(seconds: float) -> AsyncGenerator[None]:
    """End the block after ``seconds`` with a ``DeadlineError``."""
    timeout = asyncio.timeout(seconds)
    try:
        async with timeout:
            yield
    except TimeoutError:
        if not timeout.expired():
            raise
        raise late(seconds) from None


def late(seconds: float) -> DeadlineError:
    """Return the error of what takes longer than ``seconds``."""
    return DeadlineError(f"not answered within {seconds:g} s")
