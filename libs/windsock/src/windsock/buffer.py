"""The bounded buffer between the threads that record and the one that sends."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from windsock.ambient import Ambient
from windsock.fields import FieldValue

# Either the nanoseconds of a tracked block that went well, alone or with small metadata that
# is merged later (the usual cases, hence the short forms), or the fields of any event.
Payload = int | tuple[int, dict[str, object]] | dict[str, FieldValue]
# When it was recorded, the operation, the ambient metadata, and the payload.
Record = tuple[float, str | None, Ambient | None, Payload]


class Marker:
    """Stands in the buffer for a caller of ``flush``, behind all that was recorded before."""

    __slots__ = ("reached",)

    def __init__(self) -> None:
        self.reached = threading.Event()


class Buffer:
    """A deque with a bound, filled without a lock.

    ``len`` and ``append`` are each atomic, so threads together may pass the bound by one
    event each and no more. An event takes one place for each KiB of its texts, and the
    places after the first are held by ``None``: the bound on places is a bound on memory.

    Below ``fast_limit`` a record is appended and nothing else happens; from there on
    ``overflow`` decides, which starts or wakes the sender, or counts a drop.
    """

    __slots__ = ("capacity", "events", "fast_limit", "overflow")

    def __init__(self, capacity: int, overflow: Callable[[Record, int], None]) -> None:
        self.events: deque[Record | Marker | None] = deque()
        self.capacity = capacity
        self.fast_limit = 0
        self.overflow = overflow

    def put(self, record: Record, extra_slots: int = 0) -> None:
        if len(self.events) + extra_slots < self.fast_limit:
            self.append(record, extra_slots)
        else:
            self.overflow(record, extra_slots)

    def append(self, record: Record, extra_slots: int) -> None:
        self.events.append(record)
        if extra_slots:
            self.events.extend((None,) * extra_slots)
