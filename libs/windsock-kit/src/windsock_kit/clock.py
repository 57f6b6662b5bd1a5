"""Time as something that is handed in."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time of day; ``utc_now`` is the real one."""

    def __call__(self) -> datetime:
        """Return the current time with its offset."""
        ...


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)
