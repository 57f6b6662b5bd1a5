"""Pure ASGI middleware; ``standard`` puts it in the right order."""

import re
import secrets
from collections.abc import Collection
from time import perf_counter

import structlog
from prometheus_client import CollectorRegistry, Histogram
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from windsock_kit.errors import internal_error
from windsock_kit.logs import request_id

log = structlog.get_logger(__name__)
access_log = structlog.get_logger("access")

QUIET_PATHS = frozenset({"/livez", "/readyz", "/metrics"})

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# The advice of OpenTelemetry's semantic conventions for http.server.request.duration.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)


def standard(registry: CollectorRegistry) -> list[Middleware]:
    """Return what every service runs, from the outside in."""
    return [
        Middleware(RequestId),
        Middleware(AccessLog),
        Middleware(RequestMetrics, registry=registry),
        Middleware(Outermost),
    ]


def route_template(scope: Scope) -> str:
    """Return the path of the route that answered, or ``unmatched``; bounded, unlike the raw path.

    Starlette leaves the route in the scope, so this is known after the request only.
    """
    route = scope.get("route")
    return route.path if isinstance(route, Route | Mount) else "unmatched"


class RequestId:
    """Keeps the caller's X-Request-ID where it is sane, makes one where not, and echoes it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request with ``logs.request_id`` set."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        given = next((value for key, value in scope["headers"] if key == b"x-request-id"), b"")
        current = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16).encode()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", current)]
            await send(message)

        token = request_id.set(current.decode())
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            request_id.reset(token)


class _Timed:
    """Knows the status and the duration at the end of a request, however it ends."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request; status 0 means that no answer was begun."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

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
            self._ended(scope, status, perf_counter() - started)

    def _ended(self, scope: Scope, status: int, seconds: float) -> None:
        raise NotImplementedError


class AccessLog(_Timed):
    """Logs one line per request; the polled paths in ``quiet`` at debug level while they succeed.

    The line has the raw path without its query, which may hold what should not be kept.
    """

    def __init__(self, app: ASGIApp, quiet: Collection[str] = QUIET_PATHS) -> None:
        super().__init__(app)
        self._quiet = quiet

    def _ended(self, scope: Scope, status: int, seconds: float) -> None:
        method, path = scope["method"], scope["path"]
        write = access_log.debug if path in self._quiet and status < 400 else access_log.info
        duration_ms = round(seconds * 1000, 3)
        write("request", method=method, path=path, status=status, duration_ms=duration_ms)


class RequestMetrics(_Timed):
    """Observes each request's duration by method, route template and status class."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        super().__init__(app)
        self._duration = Histogram(
            "http_server_request_duration_seconds",
            "Time from the request's headers to the end of its answer.",
            ["method", "route", "status"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._children: dict[tuple[str, str, str], Histogram] = {}

    def _ended(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        key = (method, route_template(scope), f"{status // 100}xx")
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._duration.labels(*key)
        child.observe(seconds)


class Outermost:
    """Turns a bug below it into a 500 that tells nothing of the inside, and logs the traceback.

    Outermost of what can fail: only what must see the resulting status stands further out.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request; once an answer has begun, the error goes on and the server cuts it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        begun = False

        async def send_and_note(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except Exception:
            if begun:
                raise
            log.exception("request_failed", method=scope["method"], route=route_template(scope))
            await internal_error()(scope, receive, send)
