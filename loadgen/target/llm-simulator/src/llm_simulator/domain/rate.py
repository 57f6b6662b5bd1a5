"""Limits per minute, as token buckets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Level:
    """What a bucket holds: of ``limit`` so many ``remaining``, all of them in ``reset_seconds``."""

    limit: int
    remaining: int
    reset_seconds: float


class Bucket:
    """A minute's worth of something, refilled steadily; a limit of 0 is none. Time is handed in."""

    def __init__(self, per_minute: int, now: float) -> None:
        self.limit = per_minute
        self._held = float(per_minute)
        self._at = now

    def lacks(self, amount: float, now: float) -> float:
        """Return the seconds until ``amount`` is there, 0 when it is, infinity when it never will be."""
        if self.limit == 0:
            return 0.0
        if amount > self.limit:
            return float("inf")
        self._refill(now)
        return max(0.0, (amount - self._held) * 60 / self.limit)

    def take(self, amount: float, now: float) -> None:
        """Take ``amount``; what is known only afterwards may leave less than nothing."""
        if self.limit:
            self._refill(now)
            self._held -= amount

    def level(self, now: float) -> Level:
        """Tell what it holds."""
        self._refill(now)
        missing = self.limit - self._held
        return Level(self.limit, max(0, int(self._held)), missing * 60 / max(1, self.limit))

    def _refill(self, now: float) -> None:
        self._held = min(self.limit, self._held + (now - self._at) * self.limit / 60)
        self._at = now
