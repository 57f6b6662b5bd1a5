"""A service for the stack's tests: it echoes, streams, and answers as the gateway's upstream."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

released = threading.Event()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        name = self.path.partition("?")[0].rpartition("/")[2]
        answers: dict[str, Callable[[], None]] = {
            "stream": self._stream,
            "page": lambda: self._answer(b"<p>page</p>", "text/html"),
            "big": lambda: self._answer(b"[" + b"1," * 4000 + b"1]"),
            "busy": lambda: self._answer(b"{}", status=503, retry_after="7"),
        }
        if name == "release":
            released.set()
        answers.get(name, self._echo)()

    def do_POST(self) -> None:
        self.do_GET()

    def _echo(self) -> None:
        seen = {
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "pid": os.getpid(),
            "probes": os.environ["UPSTREAM_PROBES"],
        }
        self._answer(json.dumps(seen).encode())

    def _answer(
        self,
        body: bytes,
        content_type: str = "application/json",
        *,
        status: int = 200,
        retry_after: str | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Request-ID", "the-upstream-s-own")
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        """Send one event, and the next only after a request to a path that ends in /release."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._chunk(b"data: first\n\n")
        released.wait(20)
        self._chunk(b"data: second\n\n")
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's name
        pass


if __name__ == "__main__":
    address = ("127.0.0.1", int(os.environ["UPSTREAM_PORT"]))
    ThreadingHTTPServer(address, Handler).serve_forever()
