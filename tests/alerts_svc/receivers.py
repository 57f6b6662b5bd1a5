"""Receivers of webhooks, of Slack's and PagerDuty's kind: real servers that record all and fail as told.

They run in the test's own event loop on 127.0.0.1. What they are sent they check as the real ones do: a signature that is
wrong, a block too many or a missing key is answered as there, and stands in ``problems``.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, cast

import orjson
import uvicorn
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from windsock_kit import serve

CHUNK = 64 * 1024
R = TypeVar("R", bound="HttpReceiver")


@dataclass(frozen=True)
class Reply:
    """How a request is answered.

    ``delay`` comes before anything is said. ``drip`` sends the body byte by byte for ever, that many seconds apart;
    ``size`` sends that many bytes. ``reset`` cuts the connection: before the answer, or in the middle of its body.
    ``body`` of ``None`` is what the kind of receiver answers to what was right.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    delay: float = 0.0
    drip: float | None = None
    size: int | None = None
    reset: Literal["before", "middle"] | None = None


@dataclass(frozen=True)
class Received:
    """A request as it came in; ``at`` is on the monotonic clock, ``status`` what it was answered with."""

    at: float
    wall: float
    path: str
    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def id(self) -> str:
        return self.headers.get("webhook-id", "")


@dataclass
class HttpReceiver:
    """Answers the next requests with ``replies``, one each, and then with ``standing``."""

    url: str = ""
    port: int = 0
    replies: deque[Reply] = field(default_factory=deque)
    standing: Reply = field(default_factory=Reply)
    received: list[Received] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    server_names: list[str | None] = field(default_factory=list)
    connections: dict[tuple[str, int], asyncio.Transport] = field(default_factory=dict)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def accepted(self) -> list[Received]:
        """Return the requests that were answered with success."""
        return [one for one in self.received if 200 <= one.status < 300]

    def right(self, request: Request, body: bytes) -> tuple[int, bytes]:
        """Check a request and return what the real one would answer."""
        return 200, b""

    async def until(self, count: int, seconds: float = 10.0) -> list[Received]:
        """Wait until ``count`` requests have come in, and return them all."""
        async with asyncio.timeout(seconds):
            while len(self.received) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.received

    async def take(self, request: Request) -> Response:
        body = await request.body()
        reply = self.replies.popleft() if self.replies else self.standing
        status, said = self.right(request, body)
        status = reply.status if reply.status is not None else status
        said = reply.body if reply.body is not None else said
        headers = {key.lower(): value for key, value in request.headers.items()}
        path = request.url.path
        self.received.append(Received(time.monotonic(), time.time(), path, headers, body, status))
        self._arrived.set()
        if reply.delay:
            await asyncio.sleep(reply.delay)
        if reply.reset == "before":
            self._reset(request)
        if reply.drip is None and reply.size is None and reply.reset != "middle":
            return Response(said, status, reply.headers)
        return StreamingResponse(self._stream(request, reply), status, reply.headers)

    async def _stream(self, request: Request, reply: Reply) -> AsyncIterator[bytes]:
        if reply.reset is not None:
            yield b"x" * 10
            await asyncio.sleep(0.02)
            self._reset(request)
        if reply.drip is not None:
            while not await request.is_disconnected():
                yield b"x"
                await asyncio.sleep(reply.drip)
        for _ in range(0, reply.size or 0, CHUNK):
            if await request.is_disconnected():
                break
            yield b"x" * CHUNK

    def _reset(self, request: Request) -> None:
        assert request.client is not None
        transport = self.connections[request.client.host, request.client.port]
        connection = transport.get_extra_info("socket")
        # Without lingering the other side gets a reset instead of an orderly end.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


@dataclass
class WebhookReceiver(HttpReceiver):
    """Verifies signatures with the reference library; with several secrets any of them will do."""

    secrets: Sequence[str] = ()

    def right(self, request: Request, body: bytes) -> tuple[int, bytes]:
        problems = [self._problem(secret, request, body) for secret in self.secrets]
        if problems and None not in problems:
            self.problems.append(problems[0] or "")
            return 401, b"bad signature"
        return 204, b""

    def _problem(self, secret: str, request: Request, body: bytes) -> str | None:
        try:
            Webhook(secret).verify(body, dict(request.headers))
        except WebhookVerificationError as error:
            return str(error)
        return None

    def delivered(self) -> list[str]:
        """Return the ids of what was accepted, in the order of arrival, copies too."""
        return [one.id for one in self.accepted]


@dataclass
class SlackReceiver(HttpReceiver):
    """Refuses what Slack refuses: no text, too many or too long blocks."""

    def right(self, request: Request, body: bytes) -> tuple[int, bytes]:
        problem = slack_problem(body)
        if problem:
            self.problems.append(problem)
            return 400, problem.encode()
        return 200, b"ok"


def slack_problem(body: bytes) -> str:
    """Return Slack's error code for a message, empty if there is none."""
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "invalid_payload"
    if not message.get("text"):
        return "no_text"
    blocks = message.get("blocks", [])
    if len(blocks) > 50 or not all(map(_block_fits, blocks)):
        return "invalid_blocks"
    return "msg_blocks_too_long" if len("".join(_texts(blocks))) > 13_200 else ""


def _block_fits(block: dict[str, Any]) -> bool:
    limits = {"header": 150, "section": 3000, "context": 3000}
    elements = block.get("elements", [])
    texts = list(_texts(block))
    whole = all(1 <= len(text) <= limits[block["type"]] for text in texts)
    return bool(texts) and whole and len(elements) <= 10


def _texts(block: object) -> list[str]:
    if isinstance(block, dict):
        own = [block["text"]] if isinstance(block.get("text"), str) else []
        return own + [text for value in block.values() for text in _texts(value)]
    return [text for one in block for text in _texts(one)] if isinstance(block, list) else []


@dataclass
class PagerDutyReceiver(HttpReceiver):
    """Keeps incidents as PagerDuty does, by deduplication key: what opened one, and whether it is resolved."""

    states: dict[str, list[str]] = field(default_factory=dict)

    def right(self, request: Request, body: bytes) -> tuple[int, bytes]:
        event = orjson.loads(body)
        problem = pagerduty_problem(event)
        if problem or len(body) > 512_000:
            self.problems.append(problem or "too large")
            return 400, orjson.dumps({"status": "invalid event", "errors": [problem]})
        self.states.setdefault(event["dedup_key"], []).append(event["event_action"])
        return 202, orjson.dumps({"status": "success", "dedup_key": event["dedup_key"]})


def pagerduty_problem(event: dict[str, Any]) -> str:
    """Return what is wrong with an event, empty if nothing is."""
    action = event.get("event_action")
    payload = event.get("payload", {})
    checks = {
        "routing_key": len(event.get("routing_key", "")) == 32,
        "event_action": action in {"trigger", "acknowledge", "resolve"},
        "dedup_key": 0 < len(event.get("dedup_key", "")) <= 255,
        "summary": action != "trigger" or 0 < len(payload.get("summary", "")) <= 1024,
        "source": action != "trigger" or bool(payload.get("source")),
        "severity": action != "trigger"
        or payload.get("severity") in {"critical", "error", "warning", "info"},
    }
    return next((name for name, fine in checks.items() if not fine), "")


def _protocol(receiver: HttpReceiver) -> type[HttpToolsProtocol]:
    class Protocol(HttpToolsProtocol):
        """Lets the receiver get at the connection of a request."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            receiver.connections[transport.get_extra_info("peername")[:2]] = transport

    return Protocol


@asynccontextmanager
async def running(
    receiver: R, *, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[R]:
    """Serve ``receiver``, on a given port if it is to come back where it was."""
    app = Starlette(routes=[Route("/{path:path}", receiver.take, methods=["POST", "GET"])])
    config = serve.config(app, http=_protocol(receiver), lifespan="off")
    config.load()
    if tls is not None:
        tls.sni_callback = _noting(receiver)
        config.ssl = tls
    listener = serve.bind("127.0.0.1", port)
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    receiver.port = listener.getsockname()[1]
    receiver.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{receiver.port}/hook"
    # Without the server's own loop, which looks only ten times a second whether it is to end, and sends a Date.
    await server.startup(sockets=[listener])
    try:
        yield receiver
    finally:
        await _stop(server, receiver)


def abort(transport: asyncio.WriteTransport) -> None:
    """End a connection at once; before 3.11.5 Python's own over TLS raised if they were closed already."""
    with suppress(AttributeError):
        transport.abort()


async def _stop(server: uvicorn.Server, receiver: HttpReceiver) -> None:
    for listening in server.servers:
        listening.close()
    tasks = list(server.server_state.tasks)
    for task in tasks:
        task.cancel()
    for transport in receiver.connections.values():
        abort(transport)
    await asyncio.gather(*tasks, return_exceptions=True)


def _noting(receiver: HttpReceiver) -> Callable[[ssl.SSLObject, str, ssl.SSLContext], None]:
    def note(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> None:
        receiver.server_names.append(name)

    return cast(Callable[[ssl.SSLObject, str, ssl.SSLContext], None], note)
