"""Running one application in one process."""

import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from windsock_kit.asgi import CONNECTION

# Longer than the gateway keeps its side open (nginx: 60 s), so that it is never us who closes a
# connection just as the gateway sends a request on it.
KEEP_ALIVE_SECONDS = 75
MAX_HEAD_BYTES = 64 * 1024
GRACEFUL_SECONDS = 10
BACKLOG = 2048


class BoundedHeadProtocol(HttpToolsProtocol):
    """Gives up on a request whose head does not end; httptools alone would collect for ever.

    It is also the ``Connection`` of its requests.
    """

    _head_bytes = 0
    _in_head = True
    _end: Callable[[], None] | None = None

    def cut(self) -> None:
        """Close the connection at once."""
        self.transport.abort()

    def at_shutdown(self, end: Callable[[], None]) -> None:
        """Call ``end`` if the server is about to stop during this request."""
        self._end = end

    def shutdown(self) -> None:
        """Begin to stop: answers without an end are told to end."""
        super().shutdown()
        if self._end is not None:
            self._end()

    def data_received(self, data: bytes) -> None:
        """Parse ``data``, counting it while the head is open."""
        self._head_bytes += len(data)
        super().data_received(data)
        over = self._in_head and self._head_bytes > MAX_HEAD_BYTES
        if over and not self.transport.is_closing():
            self.send_400_response(f"the head of the request is over {MAX_HEAD_BYTES} bytes")

    def on_headers_complete(self) -> None:
        """Note that the body, which has limits of its own, begins."""
        self._in_head = False
        self._end = None
        self.scope["extensions"] = {CONNECTION: {"connection": self}}
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that the next head may begin."""
        self._in_head = True
        self._head_bytes = 0
        super().on_message_complete()


def config(app: ASGIApp, **overrides: Any) -> uvicorn.Config:
    """Return the server settings that every service shares; logging is left as configured."""
    settings: dict[str, Any] = {
        "loop": "uvloop",
        "http": BoundedHeadProtocol,
        "ws": "none",
        "lifespan": "on",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "timeout_keep_alive": KEEP_ALIVE_SECONDS,
        "timeout_graceful_shutdown": GRACEFUL_SECONDS,
        "backlog": BACKLOG,
    }
    return uvicorn.Config(app, **(settings | overrides))


def bind(host: str, port: int, *, hint: str = "") -> socket.socket:
    """Return a listening socket; end the process with one clear line, and ``hint``, when that cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay off only where the socket says that it is TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SystemExit(
            f"cannot listen on {host}:{port}: {error.strerror or error}{hint}"
        ) from None
    listener.set_inheritable(True)
    return listener


def run(app: ASGIApp, *, host: str, port: int, hint: str = "") -> None:
    """Serve ``app`` until SIGTERM or Ctrl-C; returns after running requests have ended.

    The socket is bound first, so a taken port is told before anything else starts; ``hint`` says how to
    choose another.
    """
    listener = bind(host, port, hint=hint)
    server = uvicorn.Server(config(app))
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    if not server.started:
        sys.exit(3)
