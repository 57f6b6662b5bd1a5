"""Server-sent events, out of the pieces that a connection gives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Far more than 10,000 flags with rules; what is longer comes from something that is no service.
MAX_EVENT_BYTES = 64 * 1024 * 1024
_END_OF_LINE = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class TooLongError(ValueError):
    """An event is longer than any that makes sense."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event; ``id`` is the text of its own ``id`` field, empty if it has none."""

    kind: str
    data: bytes
    id: str = ""


class EventParser:
    """Follows https://html.spec.whatwg.org/multipage/server-sent-events.html, within ``limit`` bytes."""

    def __init__(self, limit: int = MAX_EVENT_BYTES) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._searched = 0
        self._first = True
        self._after_return = False
        self._data: list[bytes] = []
        self._kind = "message"
        self._id = ""
        self._size = 0

    def feed(self, piece: bytes) -> Iterator[Event]:
        """Yield the events that ``piece`` completes. Raises ``TooLongError``."""
        for line in self._lines(piece):
            event = self._line(line)
            if event is not None:
                yield event
        if self._size + len(self._rest) > self._limit:
            raise TooLongError(f"an event has more than {self._limit} bytes")

    def _lines(self, piece: bytes) -> Iterator[bytes]:
        if self._after_return and piece:
            # The end of line that the last piece ended with goes on in this one.
            piece = piece.removeprefix(b"\n")
            self._after_return = False
        rest = self._rest
        rest += piece
        start = 0
        position = self._searched
        while (end := _END_OF_LINE.search(rest, position)) is not None:
            line = bytes(rest[start : end.start()])
            start = position = end.end()
            self._after_return = start == len(rest) and end.group() == b"\r"
            yield line.removeprefix(_BYTE_ORDER_MARK) if self._first else line
            self._first = False
        del rest[:start]
        self._searched = len(rest)

    def _line(self, line: bytes) -> Event | None:
        if not line:
            return self._event()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._size += len(line)
            self._data.append(value)
        elif name == b"event":
            self._kind = value.decode("utf-8", "replace")
        elif name == b"id":
            self._id = value.decode("utf-8", "replace")
        if self._size > self._limit:
            raise TooLongError(f"an event has more than {self._limit} bytes")
        return None

    def _event(self) -> Event | None:
        data, kind, identifier = self._data, self._kind, self._id
        self._clear()
        return Event(kind, b"\n".join(data), identifier) if data else None

    def _clear(self) -> None:
        self._data = []
        self._kind = "message"
        self._id = ""
        self._size = 0
