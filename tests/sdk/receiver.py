"""A service to send to: real HTTP on a free port, with answers that a test chooses."""

import gzip
import json
import threading
from collections import deque
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What to answer; ``cut`` closes the connection instead, ``hang`` waits for the test's end."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    cut: bool = False
    hang: bool = False
    keep: bool = False


STORED_BUT_CUT = Answer(cut=True, keep=True)


class Receiver:
    """Stores each batch once, by its id, as the service does."""

    def __init__(self) -> None:
        self.answers: deque[Answer] = deque()
        self.usual = Answer()
        self.requests: list[dict[str, str]] = []
        self.attempts: list[str] = []
        self.stored: dict[str, list[dict[str, Any]]] = {}
        self.released = threading.Event()
        self.arrived = threading.Condition()
        self._connections: list[Any] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def events(self) -> list[dict[str, Any]]:
        with self.arrived:
            return [event for events in self.stored.values() for event in events]

    def wait_for_attempts(self, count: int, seconds: float = 10.0) -> None:
        with self.arrived:
            enough = self.arrived.wait_for(lambda: len(self.attempts) >= count, seconds)
        assert enough, f"{len(self.attempts)} requests instead of {count}"

    def wait_for_events(self, count: int, seconds: float = 10.0) -> None:
        with self.arrived:
            self.arrived.wait_for(lambda: sum(map(len, self.stored.values())) >= count, seconds)
        assert len(self.events) == count

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.02)

    def stop(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        batch = json.loads(gzip.decompress(body))
        with self.arrived:
            answer = self.answers.popleft() if self.answers else self.usual
            self.requests.append({"path": handler.path, **dict(handler.headers.items())})
            self.attempts.append(batch["batch_id"])
            duplicate = batch["batch_id"] in self.stored
            if answer.status == 200 and (answer.keep or not (answer.cut or answer.hang)):
                self.stored.setdefault(batch["batch_id"], batch["events"])
            self.arrived.notify_all()
        if answer.hang:
            self.released.wait()
        if answer.cut or answer.hang:
            handler.close_connection = True
            return
        accepted = 0 if duplicate else len(batch["events"])
        usual = {"accepted": accepted, "duplicate": duplicate, "rejected": []}
        content = json.dumps(usual).encode() if answer.body is None else answer.body
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver.answer(self)

            def log_message(self, *_: object) -> None:
                return

        return Handler


@contextmanager
def receiving() -> Generator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.serve)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.stop()
        thread.join()
