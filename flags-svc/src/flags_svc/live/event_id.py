"""Where in the life of the configuration an event stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

# Of a bigint, with room to spare; longer numbers are nobody's.
_DIGITS = 19


@dataclass(frozen=True, slots=True)
class EventId:
    """A revision of an epoch; as text ``<epoch>-<revision>``."""

    epoch: str
    revision: int

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return what ``text`` names, ``None`` if it is no event's id."""
        epoch, _, revision = text.rpartition("-")
        if not epoch or not 0 < len(revision) <= _DIGITS:
            return None
        if not (revision.isascii() and revision.isdigit()):
            return None
        return cls(epoch, int(revision))

    def __str__(self) -> str:
        return f"{self.epoch}-{self.revision}"
