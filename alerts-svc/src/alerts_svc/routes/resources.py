"""What handlers share: bodies within their bounds, the store read whole, the clocks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from alerts_svc.domain.world import World
from alerts_svc.state import State
from alerts_svc.store.ledger import PostgresLedger
from alerts_svc.wire.times import Clocks
from windsock_kit.body import read_body

Handler = Callable[[Request[State]], Awaitable[Response]]


async def body_of(request: Request[State]) -> bytes:
    """Return the decoded body, bounded by the service's limit both as sent and as decoded."""
    limit = request.state["max_body_bytes"]
    return await read_body(request, max_bytes=limit, max_decompressed_bytes=limit)


async def load(request: Request[State]) -> World:
    """Read everything from the store, at one revision."""
    return await PostgresLedger(request.state["pool"]).load()


def clocks(request: Request[State]) -> Clocks:
    """Read the clocks once, so that an answer is of one moment."""
    return Clocks.of(request.state["time"])
