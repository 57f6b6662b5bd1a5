"""Server-sent events as a client reads them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

ENOUGH_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Event:
    """One event with its data read."""

    kind: str
    id: str
    data: Any


def events_of(text: bytes) -> list[Event]:
    """Return the events of a piece of a stream that ends with one."""
    found = []
    for block in text.decode().split("\n\n"):
        fields = dict(line.partition(": ")[::2] for line in block.splitlines())
        if "data" in fields:
            data = orjson.loads(fields["data"])
            found.append(Event(fields.get("event", "message"), fields.get("id", ""), data))
    return found


class Reader:
    """Reads a response event by event."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines: AsyncIterator[str] = response.aiter_lines()

    async def next(self, *kinds: str) -> Event:
        """Return the next event of one of ``kinds``; raises ``EOFError`` at the end."""
        block = b""
        async for line in self._lines:
            block += line.encode() + b"\n"
            if not line:
                for event in events_of(block):
                    if not kinds or event.kind in kinds:
                        return event
                block = b""
        raise EOFError


@asynccontextmanager
async def following(
    url: str, environment: str = "production", last_event_id: str | None = None
) -> AsyncGenerator[Reader]:
    """Follow an environment of the service at ``url``."""
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    timeout = httpx.Timeout(ENOUGH_SECONDS)
    async with (
        # Certificates take long to load, and there are none here.
        httpx.AsyncClient(base_url=url, timeout=timeout, verify=False) as client,
        client.stream(
            "GET",
            "/api/feature-flags/stream",
            params={"environment": environment},
            headers=headers,
        ) as response,
    ):
        yield Reader(response)
