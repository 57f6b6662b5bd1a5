"""Keeping a service without authentication to its own machine."""

import re
from http import HTTPStatus

from starlette.types import Receive, Scope, Send

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
    there is one, which stops cross-site requests.
    """

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        if (reason := _refusal(scope)) is None:
            await self._app(scope, receive, send)
        else:
            await render(ForeignCallerError(reason))(scope, receive, send)


def _refusal(scope: Scope) -> str | None:
    headers = {key: value.decode("latin-1") for key, value in scope["headers"]}
    if not _HOST.fullmatch(headers.get(b"host", "")):
        return "without authentication only localhost, 127.0.0.1 and [::1] are served as Host"
    if not _ORIGIN.fullmatch(headers.get(b"origin", "http://localhost")):
        return "without authentication only pages from this machine may call; the Origin is another"
    return None


def require_loopback(host: str) -> None:
    """End the process with one clear line if ``host`` can be reached from other machines."""
    if host.lower() not in {"localhost", "127.0.0.1", "::1"}:
        raise SystemExit(
            f"refusing to listen on {host}: without authentication only"
            " 127.0.0.1, ::1 and localhost are allowed"
        )
