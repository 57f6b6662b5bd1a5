"""Forgets the past, on any replica: what one removes the others do not find."""

from __future__ import annotations

from dataclasses import dataclass

from alerts_svc.ports import Time
from alerts_svc.store.retention import HISTORY, MEASURED, Retention

INTERVAL_SECONDS = 600.0
# A tick ends after so many batches of each kind, and the next one goes on.
_BATCHES = 10


@dataclass(frozen=True, slots=True)
class Periods:
    """For how long the values of evaluations and the history of alerts are kept, in seconds."""

    measured: float
    history: float


class Housekeeping:
    """Removes what is older than it is to be kept."""

    def __init__(self, retention: Retention, periods: Periods, time: Time) -> None:
        self._retention = retention
        self._periods = periods
        self._time = time

    async def tick(self) -> bool:
        """Remove some, and return whether there is more to remove."""
        wall = self._time.wall()
        more = False
        for kinds, kept in ((MEASURED, self._periods.measured), (HISTORY, self._periods.history)):
            for kind in kinds:
                more |= await self._forget(kind, wall - kept)
        return more

    async def _forget(self, kind: str, before: float) -> bool:
        for _ in range(_BATCHES):
            if not await self._retention.forget(kind, before):
                return False
        return True
