"""A metrics service as far as a sender can see: the contract, strictly, and a store in memory."""

import gzip
import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from socket import socket
from typing import Literal
from uuid import UUID

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


class LlmCall(
    msgspec.Struct, frozen=True, tag_field="type", tag="llm_call", forbid_unknown_fields=True
):
    timestamp: datetime
    operation: str
    environment: str
    provider: str
    model: str
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0


class Cache(msgspec.Struct, frozen=True, tag_field="type", tag="cache", forbid_unknown_fields=True):
    timestamp: datetime
    operation: str
    environment: str
    layer: Literal["prompt"]
    hit: bool
    miss_reason: Literal["cold", "evicted"] | None = None


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    batch_id: UUID
    events: tuple[LlmCall | Cache, ...]


Fault = Literal["unavailable", "lost answer", "too many", "bad gateway", "forbidden", "nonsense"]


@dataclass
class Receiver:
    """Answers the next requests with ``faults``, one each, and else (None) as it should."""

    url: str = ""
    faults: deque[Fault | None] = field(default_factory=deque)
    stored: dict[UUID, tuple[LlmCall | Cache, ...]] = field(default_factory=dict)
    requests: int = 0
    authorization: set[str | None] = field(default_factory=set)
    refused_from: int | None = None
    most_at_once: int = 0
    _at_once: int = 0
    first_stored: threading.Event = field(default_factory=threading.Event)
    first_request: threading.Event = field(default_factory=threading.Event)

    @property
    def calls(self) -> list[LlmCall]:
        events = [event for batch in self.stored.values() for event in batch]
        return [event for event in events if isinstance(event, LlmCall)]

    @property
    def cache_events(self) -> list[Cache]:
        events = [event for batch in self.stored.values() for event in batch]
        return [event for event in events if isinstance(event, Cache)]

    async def take(self, request: Request) -> Response:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return self._answer(request, await request.body())
        finally:
            self._at_once -= 1

    def _answer(self, request: Request, body: bytes) -> Response:
        self.requests += 1
        self.first_request.set()
        self.authorization.add(request.headers.get("authorization"))
        assert request.headers["content-encoding"] == "gzip"
        match self.faults.popleft() if self.faults else None:
            case "unavailable":
                return Response(status_code=503, headers={"Retry-After": "0"})
            case "too many":
                return Response(status_code=429, headers={"Retry-After": "0"})
            case "bad gateway":
                return Response(b"<html>", status_code=502)
            case "forbidden":
                detail = msgspec.json.encode({"title": "Forbidden", "detail": "no such key"})
                return Response(detail, status_code=HTTPStatus.FORBIDDEN)
            case "nonsense":
                return Response(b"<html>hello</html>")
            case "lost answer":
                self._store(body)
                return Response(status_code=504)
            case None:
                return Response(msgspec.json.encode(self._store(body)))

    def _store(self, body: bytes) -> dict[str, object]:
        batch = msgspec.json.decode(gzip.decompress(body), type=Body)
        if batch.batch_id in self.stored:
            return {"accepted": 0, "duplicate": True, "rejected": []}
        now = datetime.now(UTC)
        for event in batch.events:
            assert event.timestamp.tzinfo is not None
            assert now - timedelta(days=7) <= event.timestamp <= now + timedelta(minutes=5)
        assert 0 < len(batch.events) <= 500
        kept = batch.events[: self.refused_from]
        self.stored[batch.batch_id] = kept
        self.first_stored.set()
        rejected = [
            {"index": n, "path": "model", "detail": "not today"}
            for n in range(len(kept), len(batch.events))
        ]
        return {"accepted": len(kept), "duplicate": False, "rejected": rejected}


@contextmanager
def running_receiver() -> Generator[Receiver]:
    """Serve on a free port, in a thread, because the command under test blocks its own."""
    receiver = Receiver()
    routes = [Route("/api/metrics/events", receiver.take, methods=["POST"])]
    config = uvicorn.Config(Starlette(routes=routes), port=0, log_level="error", lifespan="off")
    server = Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert server.listening.wait(10)
    port = server.servers[0].sockets[0].getsockname()[1]
    receiver.url = f"http://127.0.0.1:{port}"
    try:
        yield receiver
    finally:
        server.should_exit = True
        thread.join(10)


class Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()
