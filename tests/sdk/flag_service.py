"""A service that flags come from: real HTTP on a free port, with streams that a test may spoil."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Document = dict[str, Any]
PATIENCE_SECONDS = 20.0


def switch(key: str, *, on: bool = True, **fields: Any) -> Document:
    """Return a boolean flag that is the same for everybody."""
    return {
        "key": key,
        "type": "boolean",
        "variants": {"on": True, "off": False},
        "fallthrough": {"variant": "on" if on else "off"},
        **fields,
    }


class GoneError(Exception):
    """The client has left."""


@dataclass
class Stream:
    """One connection of a client."""

    handler: BaseHTTPRequestHandler
    environment: str
    last_event_id: str | None
    headers: Mapping[str, str]
    chunked: bool = True
    changes: deque[tuple[str, Document]] = field(default_factory=deque)
    woken: threading.Event = field(default_factory=threading.Event)

    def begin(self, status: int = 200, kind: str = "text/event-stream", **headers: str) -> None:
        self.handler.send_response(status)
        self.handler.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.handler.send_header(name.replace("_", "-"), value)
        if self.chunked:
            self.handler.send_header("Transfer-Encoding", "chunked")
        self.handler.end_headers()

    def write(self, piece: bytes) -> None:
        """Send bytes of the body as they are; raises ``GoneError`` if nobody reads them."""
        head, tail = (b"%x\r\n" % len(piece), b"\r\n") if self.chunked else (b"", b"")
        try:
            self.handler.wfile.write(head + piece + tail)
        except OSError:
            raise GoneError from None

    def event(self, kind: str, document: Document) -> None:
        identifier = f"{document['epoch']}-{document['revision']}"
        text = f"event: {kind}\nid: {identifier}\ndata: {json.dumps(document)}\n\n"
        self.write(text.encode())


Script = Callable[[Stream], None]


class FlagService:
    """Holds one environment and sends it as the service does.

    ``scripts`` are what happens on the next connections instead; each may end with ``serve``.
    """

    def __init__(self, *, port: int = 0, heartbeat_seconds: float = 0.1) -> None:
        self.epoch = "e1"
        self.revision = 1
        self.flags: dict[str, Document] = {}
        self.history: list[Document] = []
        self.scripts: deque[Script] = deque()
        self.usual: Script = self.serve
        self.streams: list[Stream] = []
        self.reports: list[Document] = []
        self.report_statuses: deque[int] = deque()
        self.released = threading.Event()
        self.heartbeat_seconds = heartbeat_seconds
        self._moved = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )
        self._thread.start()

    def stop(self) -> None:
        self.released.set()
        for stream in self.streams:
            stream.woken.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def snapshot(self) -> Document:
        return {
            "epoch": self.epoch,
            "revision": self.revision,
            "environment": "production",
            "at": time.time(),
            "flags": list(self.flags.values()),
            "segments": [],
        }

    def change(self, *flags: Document, removed: tuple[str, ...] = (), told: bool = True) -> int:
        """Commit a revision and send it to all, unless it is not to be ``told``."""
        with self._moved:
            self.revision += 1
            self.flags |= {flag["key"]: flag for flag in flags}
            for key in removed:
                self.flags.pop(key, None)
            document = {
                "epoch": self.epoch,
                "revision": self.revision,
                "previous": self.revision - 1,
                "at": time.time(),
                "flags": list(flags),
                "removed": list(removed),
                "segments": [],
                "removed_segments": [],
            }
            self.history.append(document)
            for stream in self.streams if told else ():
                stream.changes.append(("change", document))
                stream.woken.set()
            return self.revision

    def serve(self, stream: Stream) -> None:
        """Send what the client lacks, then changes and heartbeats, until it leaves."""
        stream.begin()
        self.catch_up(stream)
        while not self.released.is_set():
            if not stream.woken.wait(self.heartbeat_seconds):
                self.heartbeat(stream)
                continue
            stream.woken.clear()
            while stream.changes:
                stream.event(*stream.changes.popleft())

    def catch_up(self, stream: Stream) -> None:
        epoch, _, revision = (stream.last_event_id or "").rpartition("-")
        with self._moved:
            stream.changes.clear()
            known = {each["previous"] for each in self.history} | {self.revision}
            if epoch == self.epoch and int(revision) in known:
                missed = [each for each in self.history if each["previous"] >= int(revision)]
                stream.changes.extend(("change", each) for each in missed)
            else:
                stream.changes.append(("snapshot", self.snapshot()))
            stream.woken.set()

    def heartbeat(self, stream: Stream) -> None:
        stream.event("heartbeat", {"epoch": self.epoch, "revision": self.revision})

    def hang(self, stream: Stream) -> None:
        """Say nothing more, and keep the connection."""
        self.released.wait(PATIENCE_SECONDS)

    def wait_for_streams(self, count: int) -> None:
        self.wait(lambda: len(self.streams) >= count, f"{count} streams")

    def wait_for_reports(self, enough: Callable[[list[Document]], bool]) -> None:
        self.wait(lambda: enough(self.reports), "reports")

    def wait(self, enough: Callable[[], bool], what: str) -> None:
        with self._moved:
            assert self._moved.wait_for(enough, PATIENCE_SECONDS), f"no {what}"

    def _stream(self, handler: BaseHTTPRequestHandler) -> None:
        query = parse_qs(urlsplit(handler.path).query)
        stream = Stream(
            handler,
            query.get("environment", [""])[0],
            handler.headers.get("Last-Event-ID"),
            dict(handler.headers.items()),
        )
        with self._moved:
            script = self.scripts.popleft() if self.scripts else self.usual
            self.streams.append(stream)
            self._moved.notify_all()
        handler.close_connection = True
        with suppress(GoneError):
            script(stream)

    def _report(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        with self._moved:
            status = self.report_statuses.popleft() if self.report_statuses else 204
            self.reports.append({**json.loads(body), "_answer": status})
            self._moved.notify_all()
        handler.send_response(status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                service._stream(self)

            def do_POST(self) -> None:
                service._report(self)

            def log_message(self, *_: object) -> None:
                return

        return Handler


@contextmanager
def flag_service(*flags: Document, port: int = 0) -> Generator[FlagService]:
    service = FlagService(port=port)
    service.flags = {flag["key"]: flag for flag in flags}
    try:
        yield service
    finally:
        service.stop()
