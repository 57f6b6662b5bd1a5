"""The bounded buffer between the threads that record and the one that sends."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from windsock.ambient import Ambient
from windsock.fields import FieldValue

# Fields that ``windsock.plain`` found to be as usual, in the order that it gives them.
Plain = tuple[Any, ...]
# The fields of any event; or, of the usual ones, a short form that the sender completes: the
# nanoseconds of a tracked block that went well, alone or as in the last form, which is the
# nanoseconds or the kind of event, small metadata that is merged later, and plain fields.
Payload = dict[str, FieldValue] | int | tuple[int | str, dict[str, object] | None, Plain]
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
