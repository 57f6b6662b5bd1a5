"""What a look-up finds."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

V = TypeVar("V")
MissReason = Literal["cold", "expired", "evicted"]


@dataclass(frozen=True, slots=True)
class Kept(Generic[V]):
    """A value, and how long it took to make: what a hit saves."""

    value: V
    made_ms: float


@dataclass(frozen=True, slots=True)
class Miss:
    """Nothing was found; the reason is ``None`` where it cannot be known."""

    reason: MissReason | None


@dataclass(slots=True)
class Lookups:
    """How many look-ups there were, counted where they happen."""

    hits: int = 0
    misses: int = 0


class Ghosts:
    """Remembers of the latest keys until when each was to be kept, so that a miss has a reason."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._until: OrderedDict[str, float] = OrderedDict()

    def remember(self, key: str, until: float) -> None:
        """Note that ``key`` is, or was, to be kept ``until`` then."""
        self._until[key] = until
        self._until.move_to_end(key)
        if len(self._until) > self._capacity:
            self._until.popitem(last=False)

    def reason(self, key: str, now: float) -> MissReason:
        """Return why ``key`` is missing; one that was never kept, or too long ago, is cold."""
        until = self._until.get(key)
        if until is None:
            return "cold"
        return "expired" if until <= now else "evicted"
