"""A workload, and the gateway's prices beside it, as far as a trickle can see: real HTTP, scripted answers."""

import threading
from collections import Counter, deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import msgspec

Fault = Literal["busy", "failed", "cut", "wrong", "hang", "half a stream"]

_STREAM = (
    b'event: progress\ndata: {"node":"start"}\n\n'
    b'event: question\ndata: {"status":"ok"}\n\n'
    b'event: done\ndata: {"status":"ok","duration_ms":1.0}\n\n'
)
_FAILED_STREAM = (
    b'event: failure\ndata: {"status":"error"}\n\n'
    b'event: done\ndata: {"status":"error","duration_ms":1.0}\n\n'
)


@dataclass
class WorkloadStub:
    """Answers the next requests with ``faults``, one each, and else as it should.

    ``price_changes`` is how often somebody else changes the prices before they can be set.
    """

    url: str = ""
    faults: deque[Fault | None] = field(default_factory=deque)
    paths: Counter[str] = field(default_factory=Counter)
    users: set[str] = field(default_factory=set)
    sessions: set[str] = field(default_factory=set)
    authorization: set[str | None] = field(default_factory=set)
    has_prices: bool = True
    prices_hang: bool = False
    price_changes: int = 0
    prices_set: int = 0
    most_at_once: int = 0
    together: threading.Barrier | None = None
    arrived: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    at_once: int = 0

    @property
    def requests(self) -> int:
        return self.paths.total()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub: WorkloadStub

    def do_GET(self) -> None:
        if self.stub.prices_hang:
            self.stub.arrived.set()
            self.stub.released.wait(30)
            self.close_connection = True
            return
        if not self.stub.has_prices:
            self._answer(404, {"title": "Not Found"})
            return
        self.stub.authorization.add(self.headers["Authorization"])
        body = {"prices": [], "resolved": {"priced": self.stub.prices_set > 0}}
        self._answer(200, body, {"ETag": '"own/0"'})

    def do_PUT(self) -> None:
        self._body()
        if self.stub.price_changes:
            self.stub.price_changes -= 1
            self._answer(412, {"title": "Precondition Failed"})
            return
        self.stub.prices_set += 1
        self._answer(200, {"prices": []})

    def do_POST(self) -> None:
        if self.path == "/api/metrics/prices/reprice":
            self._body()
            self._answer(200, {})
            return
        stub = self.stub
        with stub.lock:
            stub.at_once += 1
            stub.most_at_once = max(stub.most_at_once, stub.at_once)
            stub.paths[self.path] += 1
            fault = stub.faults.popleft() if stub.faults else None
        stub.arrived.set()
        try:
            self._serve(fault)
        finally:
            with stub.lock:
                stub.at_once -= 1

    def _serve(self, fault: Fault | None) -> None:
        self._body()
        self.stub.users.add(self.headers["X-User-ID"])
        self.stub.sessions.add(self.headers["X-Session-ID"])
        if self.stub.together is not None:
            self.stub.together.wait(10)
        match fault:
            case "busy":
                self._answer(503, {"detail": "as many as may be"}, {"Retry-After": "0"})
            case "failed":
                self._answer(500, {"detail": "a bug"})
            case "wrong":
                self._answer(422, {"detail": "no such thing"})
            case "cut":
                self.close_connection = True
            case "hang":
                self.stub.released.wait(30)
                self.close_connection = True
            case "half a stream":
                self._send(200, "text/event-stream", _FAILED_STREAM)
            case None if self.path.endswith("/stream"):
                self._send(200, "text/event-stream", _STREAM)
            case None:
                self._answer(200, {"questions": []})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, "application/json", msgspec.json.encode(body), headers)

    def _send(
        self, status: int, kind: str, content: bytes, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def running_workload_stub() -> Generator[WorkloadStub]:
    """Serve on a free port, in threads, until the block ends."""
    stub = WorkloadStub()
    handler = type("Handler", (_Handler,), {"stub": stub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    stub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield stub
    finally:
        stub.released.set()
        server.shutdown()
        thread.join(10)
        server.server_close()
