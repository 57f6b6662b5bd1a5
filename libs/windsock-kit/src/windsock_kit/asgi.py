"""The common part of our middleware: which requests concern it, and how they ended."""

from collections.abc import Callable
from time import perf_counter
from typing import Protocol

from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONNECTION = "windsock.connection"


class Connection(Protocol):
    """What an answer without an end needs beyond ASGI; our own server has it in the scope's extensions."""

    def cut(self) -> None:
        """Close the connection at once; what the client has not taken is lost."""

    def at_shutdown(self, end: Callable[[], None]) -> None:
        """Call ``end`` if the server is about to stop during this request: it waits for the answer to be over."""


def connection_of(scope: Scope) -> Connection | None:
    """Return the connection that a request came by, ``None`` on another server."""
    found: Connection | None = scope.get("extensions", {}).get(CONNECTION, {}).get("connection")
    return found


def route_template(scope: Scope) -> str:
    """Return the path of the route that answered, or ``unmatched``; bounded, unlike the raw path.

    Starlette leaves the route in the scope, so this is known after the request only.
    """
    route = scope.get("route")
    return route.path if isinstance(route, Route | Mount) else "unmatched"


class HttpMiddleware:
    """Hands HTTP requests to ``http`` and lets everything else (the lifespan) pass."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.http(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        raise NotImplementedError


class TimedMiddleware(HttpMiddleware):
    """Tells ``ended`` how each request ended."""

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request and take its time, also when it raises or is cancelled."""
        status = 0

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = perf_counter()
        try:
            await self._app(scope, receive, send_and_note)
        finally:
            self.ended(scope, status, perf_counter() - started)

    def ended(self, scope: Scope, status: int, seconds: float) -> None:
        """Take note of one request; status 0 means that no answer was begun."""
        raise NotImplementedError
