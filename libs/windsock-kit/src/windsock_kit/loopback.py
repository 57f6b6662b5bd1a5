"""Keeping a service without authentication to its own machine."""

import re
from collections.abc import Collection
from http import HTTPStatus

from starlette.types import ASGIApp, Receive, Scope, Send

from windsock_kit.asgi import HttpMiddleware
from windsock_kit.errors import ServiceError, render

_LOOPBACK = r"(?:localhost|127\.0\.0\.1|\[::1\])"
_HOST = re.compile(rf"{_LOOPBACK}(?::\d{{1,5}})?", re.IGNORECASE)
_ORIGIN = re.compile(rf"https?://{_LOOPBACK}(?::\d{{1,5}})?", re.IGNORECASE)


class ForeignCallerError(ServiceError):
    """A browser page elsewhere may be behind the request."""

    status = HTTPStatus.FORBIDDEN
    code = "foreign_caller"


class LoopbackGuard(HttpMiddleware):
    """Refuses what a web page elsewhere could make a browser send here.

    The Host must be a loopback name, which stops DNS rebinding, and so must be the Origin where
    there is one, which stops cross-site requests. Pages of ``origins`` may call what is ``below`` a
    path all the same.
    """

    def __init__(
        self, app: ASGIApp, origins: Collection[str] = frozenset(), below: str = "/"
    ) -> None:
        super().__init__(app)
        self._origins = frozenset(origin.lower() for origin in origins)
        self._below = below

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        if (reason := self._refusal(scope)) is None:
            await self._app(scope, receive, send)
        else:
            await render(ForeignCallerError(reason))(scope, receive, send)

    def _refusal(self, scope: Scope) -> str | None:
        # Every request comes by here, and has a dozen headers that do not matter.
        host, origin = "", None
        for key, value in scope["headers"]:
            if key == b"host":
                host = value.decode("latin-1")
            elif key == b"origin":
                origin = value.decode("latin-1")
        if not _HOST.fullmatch(host):
            return "without authentication only localhost, 127.0.0.1 and [::1] are served as Host"
        if origin is None or _ORIGIN.fullmatch(origin):
            return None
        if origin.lower() in self._origins and scope["path"].startswith(self._below):
            return None
        return "without authentication only pages from this machine may call; the Origin is another"


def require_loopback(host: str) -> None:
    """End the process with one clear line if ``host`` can be reached from other machines."""
    if host.lower() not in {"localhost", "127.0.0.1", "::1"}:
        raise SystemExit(
            f"refusing to listen on {host}: without authentication only"
            " 127.0.0.1, ::1 and localhost are allowed"
        )
