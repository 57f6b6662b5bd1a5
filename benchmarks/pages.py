"""Where both systems deliver to: a receiver of Alertmanager's webhooks that knows when it heard of what."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from windsock_kit.testing import serving

Key = tuple[str, str]
"""Name of the alert, and its operation."""

# Kept out of the way of what is measured.
HOOK, LIMITED = "hook", "limited"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that tells of an alert as firing; ``at`` is on the monotonic clock."""

    at: float
    status: int
    id: str


@dataclass
class Pages:
    """All that has arrived. ``refusals`` are given to the next messages to ``/limited``, as seconds of Retry-After."""

    url: str = ""
    refusals: list[int] = field(default_factory=list)
    arrivals: dict[Key, list[Arrival]] = field(default_factory=dict)

    async def take(self, request: Request) -> Response:
        body = await request.body()
        now = time.monotonic()
        limited = request.path_params["name"] == LIMITED
        wait = self.refusals.pop(0) if limited and self.refusals else None
        arrival = Arrival(now, 429 if wait else 204, request.headers.get("webhook-id", ""))
        for alert in json.loads(body)["alerts"]:
            if alert["status"] == "firing":
                key = alert["labels"]["alertname"], alert["labels"].get("operation", "")
                self.arrivals.setdefault(key, []).append(arrival)
        if wait:
            return Response(status_code=429, headers={"Retry-After": str(wait)})
        return Response(status_code=204)

    def accepted(self, key: Key) -> list[Arrival]:
        """Return the messages about an alert that were answered with success, copies too."""
        return [arrival for arrival in self.arrivals.get(key, []) if arrival.status == 204]

    async def first(self, key: Key, *, seconds: float) -> Arrival | None:
        """Wait for the first message about an alert that is answered with success; ``None`` if there is none in time."""
        deadline = time.monotonic() + seconds
        while not self.accepted(key):
            if time.monotonic() > deadline:
                return None
            await asyncio.sleep(0.005)
        return self.accepted(key)[0]


@asynccontextmanager
async def receiving() -> AsyncGenerator[Pages]:
    """Receive for the life of the block."""
    pages = Pages()
    app = Starlette(routes=[Route("/{name}", pages.take, methods=["POST"])])
    async with serving(app) as url:
        pages.url = url
        yield pages
