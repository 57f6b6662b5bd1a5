"""Middleware for ASGI applications: one ``performance`` event for each HTTP request."""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, MutableMapping
from contextlib import suppress
from functools import partial
from time import perf_counter_ns
from typing import Any, TypeVar

from windsock.ambient import AMBIENT, EMPTY, OPERATION, Ambient, merged, with_unit
from windsock.counters import Warnings
from windsock.failures import error_fields
from windsock.fields import MAX_NAME, Cleaner
from windsock.process import collector

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
_T = TypeVar("_T")
App = Callable[[Any, Any, Any], Awaitable[None]]

_METHODS = frozenset(
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"]
)
_LAST_PARTS = frozenset(["http.response.body", "http.response.pathsend"])
_DEEPEST = 50
_EXCHANGE = "windsock.exchange"


class WindsockMiddleware:
    """Records each HTTP request of ``app``, and gives all that it records its user and session.

    The operation is the method and the route's template, ``GET /items/{id}``, mounts included,
    where the application has routes as those of Starlette and FastAPI. For others ``operation``
    tells, from the scope as it is before the request is handled. Where neither knows, it is
    ``GET unmatched``, never the path itself.

    ``user_header`` and ``session_header`` name the user and the session; a gateway should set
    them, as a client could send anything. ``identify`` gives, from the scope, the keys of
    ``windsock.context``, and wins over the headers. Requests to a path in ``exclude`` are left
    alone, and so are WebSockets.

    The duration ends with the last byte of the answer, before background tasks; an exception
    and a status from 500 on are errors; a client that leaves early is none, and has the attribute
    ``client_disconnected``. When the server stops, what was recorded is sent before the process
    ends, for as long as ``exit_timeout_seconds`` allows.
    """

    def __init__(
        self,
        app: App,
        *,
        user_header: str | None = "x-user-id",
        session_header: str | None = "x-session-id",
        identify: Callable[[Scope], Mapping[str, object] | None] | None = None,
        operation: Callable[[Scope], str | None] | None = None,
        exclude: Collection[str] = ("/livez", "/readyz", "/metrics", "/healthz"),
    ) -> None:
        self.app = app
        self._user_header = _header(user_header)
        self._session_header = _header(session_header)
        self._identify = identify
        self._name = operation
        self._exclude = frozenset(exclude)
        self._router = _router_of(app)
        self._warnings = Warnings()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, partial(_send_last, send))
            return
        if scope["type"] != "http" or scope["path"] in self._exclude:
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(self._operation(scope), receive, send)
        # Under a key of its own, for mark_failed; those who pass a scope on may copy it.
        scope[_EXCHANGE] = exchange
        tokens = AMBIENT.set(self._ambient(scope) or EMPTY), OPERATION.set(exchange.operation)
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.end(error)
            raise
        else:
            exchange.end(None)
        finally:
            # Whoever closes a request that was never finished does so in a context of its own.
            with suppress(ValueError):
                OPERATION.reset(tokens[1])
                AMBIENT.reset(tokens[0])

    def _operation(self, scope: Scope) -> str:
        given = None if self._name is None else self._tried(self._name, scope)
        if given:
            return Cleaner().text(given, MAX_NAME)
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        template = self._tried(self._template, scope) or "unmatched"
        return f"{method} {Cleaner().text(template, MAX_NAME - 10)}"

    def _template(self, scope: Scope) -> str | None:
        router = self._router or scope.get("app")
        return _template(getattr(router, "routes", ()), scope)

    def _ambient(self, scope: Scope) -> Ambient | None:
        clean = Cleaner()
        user_id = session_id = None
        for name, value in scope["headers"]:
            if name == self._user_header:
                user_id = value.decode("latin-1")
            elif name == self._session_header:
                session_id = value.decode("latin-1")
        ambient = with_unit(AMBIENT.get(), user_id, session_id, None, clean)
        given = None if self._identify is None else self._tried(self._identify, scope)
        if given is not None:
            ambient = merged(ambient, given, clean)
        if clean.truncated:
            collector.pipeline.counters.add("truncated", clean.truncated)
        return ambient

    def _tried(self, ask: Callable[[Scope], _T], scope: Scope) -> _T | None:
        try:
            return ask(scope)
        # The callbacks and the routes are the application's own, and the request matters more.
        except Exception:  # noqa: BLE001
            name = getattr(ask, "__qualname__", "a callback")
            self._warnings.warn(name, "a request is recorded without %s", name, exc_info=True)
            return None


def mark_failed(scope: Scope, error_type: str, error_message: str | None = None) -> None:
    """Record the request of ``scope`` as an error, whatever its status turns out to be.

    For an answer that began well, such as a stream that has to end with an error. To be called
    before the last byte; where no middleware records the request, it does nothing.
    """
    exchange = scope.get(_EXCHANGE)
    if exchange is not None:
        exchange.failure = {"error_type": error_type, "error_message": error_message}


async def _send_last(send: Send, message: Message) -> None:
    """Pass on what the lifespan tells; its end waits until the events are sent.

    A server that was told to stop may end its process by the same signal once the lifespan is
    over, and then nothing runs at exit.
    """
    if message["type"].startswith("lifespan.shutdown."):
        timeout = collector.pipeline.settings.exit_timeout_seconds
        try:
            await asyncio.to_thread(collector.flush, timeout)
        # The application has shut the threads down, or the server's loop is none of asyncio.
        except RuntimeError:
            collector.flush(timeout)
    await send(message)


class _Exchange:
    """A request and its answer: what the application sends, and when."""

    __slots__ = (
        "_client_left",
        "_first_byte",
        "_receive",
        "_recorded",
        "_send",
        "_start",
        "_status",
        "failure",
        "operation",
    )

    def __init__(self, operation: str, receive: Receive, send: Send) -> None:
        self.operation = operation
        self.failure: dict[str, str | None] | None = None
        self._receive = receive
        self._send = send
        self._status: int | None = None
        self._first_byte: int | None = None
        self._client_left = False
        self._recorded = False
        self._start = perf_counter_ns()

    async def receive(self) -> Message:
        message = await self._receive()
        self._client_left = self._client_left or message["type"] == "http.disconnect"
        return message

    async def send(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError:
            # So a server tells that nobody listens any more.
            self._client_left = True
            raise
        if message["type"] == "http.response.start":
            self._status = message["status"]
        elif message["type"] in _LAST_PARTS:
            last = not message.get("more_body", False)
            if self._first_byte is None and (last or message.get("body")):
                self._first_byte = perf_counter_ns()
            if last:
                self._record(None)

    def end(self, error: BaseException | None) -> None:
        """Record what the last byte of the answer has not recorded yet."""
        if self._recorded:
            return
        if self._client_left and (error is None or _comes_of_leaving(error)):
            self._record(None, client_disconnected=True)
        elif error is not None:
            if self._status is None and isinstance(error, Exception):
                self._status = 500
            self._record(error)
        else:
            self._record(None, incomplete="IncompleteResponse")

    def _record(
        self,
        error: BaseException | None,
        *,
        incomplete: str | None = None,
        client_disconnected: bool | None = None,
    ) -> None:
        now = perf_counter_ns()
        self._recorded = True
        attributes: dict[str, object] = {"http_status": self._status}
        if self._first_byte is not None:
            attributes["time_to_first_byte_ms"] = (self._first_byte - self._start) / 1e6
        if client_disconnected:
            attributes["client_disconnected"] = True
        fields: dict[str, Any] = {"error_type": incomplete}
        if error is not None:
            fields = error_fields(error, error.__traceback__)
        elif self.failure is not None:
            fields = {**self.failure}
        elif self._status is not None and self._status >= 500:
            fields["error_type"] = f"HTTP {self._status}"
        collector.record_performance(
            self.operation,
            (now - self._start) / 1e6,
            "ok" if fields["error_type"] is None else "error",
            **fields,
            metadata={name: value for name, value in attributes.items() if value is not None},
        )


def _comes_of_leaving(error: BaseException) -> bool:
    # Starlette's own is known by name, as nothing of Starlette is imported.
    return isinstance(error, CancelledError | OSError) or type(error).__name__ == "ClientDisconnect"


def _header(name: str | None) -> bytes | None:
    return None if name is None else name.lower().encode("latin-1")


def _router_of(app: Any) -> Any:
    """Return what has the routes of ``app``: itself, or what the middleware in between wraps."""
    for _ in range(_DEEPEST):
        if hasattr(app, "routes"):
            return app
        app = getattr(app, "app", None)
    return None


def _template(routes: Iterable[Any], scope: Scope) -> str | None:
    """Return the template that Starlette's way of matching finds, the prefixes of mounts included."""
    other_method = None
    for route in routes:
        matches = getattr(route, "matches", None)
        if matches is None:  # Another framework's.
            return None
        match, child_scope = matches(scope)
        if match.name == "FULL":
            # A host has routes, but no path.
            prefix = getattr(route, "path", "")
            inside = getattr(route, "routes", None)
            if not inside:
                return prefix or None
            rest = _template(inside, {**scope, **child_scope})
            return None if rest is None else prefix + rest
        if match.name == "PARTIAL" and other_method is None:
            other_method = route
    return None if other_method is None else other_method.path
