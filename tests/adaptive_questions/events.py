"""Server-sent events, read as the specification says (HTML, section 9.2.6)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass
class Event:
    """One event; a lone comment is one without a name."""

    name: str = ""
    number: str = ""
    data: list[str] = field(default_factory=list)
    comment: str = ""

    def json(self) -> Any:
        """Return what is in the data."""
        return orjson.loads("\n".join(self.data))


async def events_in(chunks: AsyncIterable[str]) -> AsyncGenerator[Event]:
    """Yield each event as soon as its empty line is there."""
    buffered, event = "", Event()
    async for chunk in chunks:
        buffered += chunk
        *lines, buffered = buffered.split("\r\n")
        for line in lines:
            if line:
                _take(event, line)
            else:
                yield event
                event = Event()
    assert buffered == ""


def _take(event: Event, line: str) -> None:
    name, _, value = line.partition(": ")
    match name:
        case "event":
            event.name = value
        case "id":
            event.number = value
        case "data":
            event.data.append(value)
        case "":
            event.comment = value
        case _:
            raise AssertionError(f"no field of an event: {line}")
