"""Tells the service's own time, and the true one as the database has it."""

from __future__ import annotations

import time
from collections.abc import Callable

from alerts_svc.domain.timekeeping import Reckoning
from alerts_svc.ports import Lease


class Timekeeper:
    """``Time``, counted with the monotonic clock from what each lease says.

    Before the first lease both times are the process's clock: nothing is timed yet.
    """

    def __init__(
        self,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._monotonic = monotonic
        self._clock = clock
        self._reckoning: Reckoning | None = None

    def renewed(self, lease: Lease) -> None:
        """Go on from a lease that was just taken or renewed."""
        said = Reckoning(lease.own, lease.wall, self._monotonic(), lease.fence)
        before = self._reckoning
        self._reckoning = said if before is None else before.renewed(said)

    def own(self) -> float:
        """Return the service's own time, near to Unix seconds."""
        now = self._reckoning
        return self._clock() if now is None else now.own_at(self._monotonic())

    def wall(self) -> float:
        """Return the database's wall clock, in Unix seconds."""
        now = self._reckoning
        return self._clock() if now is None else now.wall_at(self._monotonic())

    def monotonic(self) -> float:
        """Return the process's monotonic clock."""
        return self._monotonic()
