"""Pure ASGI middleware; ``standard`` puts it in the right order."""

import re
import secrets
from collections.abc import Collection

import structlog
from prometheus_client import CollectorRegistry, Histogram
from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from windsock_kit.asgi import HttpMiddleware, TimedMiddleware, route_template
from windsock_kit.logs import request_id
from windsock_kit.responses import internal_error

log = structlog.get_logger(__name__)
access_log = structlog.get_logger("access")

QUIET_PATHS = frozenset({"/livez", "/readyz", "/metrics"})

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_PARAMETER = "{token}"
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


class RequestId(HttpMiddleware):
    """Keeps the caller's X-Request-ID where it is sane, makes one where not, and echoes it.

    ``logs.request_id`` holds it for the length of the request.
    """

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request under its id."""
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


class AccessLog(TimedMiddleware):
    """Logs one line per request; the polled paths in ``quiet`` at debug level while they succeed.

    The line has the raw path without its query, which may hold what should not be kept. Below a
    route with a parameter ``{token}`` the path is cut there, also where the request got no further
    than to be refused: who reads the log must not be able to use it.
    """

    def __init__(self, app: ASGIApp, quiet: Collection[str] = QUIET_PATHS) -> None:
        super().__init__(app)
        self._quiet = quiet
        self._before_tokens: tuple[str, ...] | None = None

    def ended(self, scope: Scope, status: int, seconds: float) -> None:
        """Write the line."""
        method, path = scope["method"], scope["path"]
        write = access_log.debug if path in self._quiet and status < 400 else access_log.info
        duration_ms = round(seconds * 1000, 3)
        shown = self._shown(scope, path)
        write("request", method=method, path=shown, status=status, duration_ms=duration_ms)

    def _shown(self, scope: Scope, path: str) -> str:
        if self._before_tokens is None:
            self._before_tokens = _before_tokens(scope)
        for prefix in self._before_tokens:
            if path.startswith(prefix):
                return prefix + _PARAMETER
        return path


def _before_tokens(scope: Scope) -> tuple[str, ...]:
    """Return what the paths of the application's routes have in front of a token."""
    routes = scope["app"].routes if "app" in scope else ()
    paths = [route.path for route in routes if isinstance(route, Route)]
    return tuple(path.partition(_PARAMETER)[0] for path in paths if _PARAMETER in path)


class RequestMetrics(TimedMiddleware):
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

    def ended(self, scope: Scope, status: int, seconds: float) -> None:
        """Observe the duration; children are kept, because labels() costs more than observe()."""
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        key = (method, route_template(scope), f"{status // 100}xx")
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._duration.labels(*key)
        child.observe(seconds)


class Outermost(HttpMiddleware):
    """Turns a bug below it into a 500 that tells nothing of the inside, and logs the traceback.

    Once an answer has begun, the error goes on and the server cuts the connection. Only what must
    see the resulting status stands further out.
    """

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request and catch what it raises."""
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
