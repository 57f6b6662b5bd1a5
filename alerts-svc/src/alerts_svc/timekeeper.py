"""Tells the service's own time, and the true one as the database has it."""

from __future__ import annotations

import time
from collections.abc import Callable

from alerts_svc.domain.timekeeping import Reckoning
from alerts_svc.ports import Lease


class Timekeeper:
    """``Time``, counted with the monotonic clock from what each lease says.

    Before the first lease both times are the process's clock, as it was at the start.
    """

    def __init__(
        self,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._monotonic = monotonic
        now = clock()
        self._reckoning = Reckoning(now, now, monotonic())

    def renewed(self, lease: Lease) -> None:
        """Go on from a lease that was just taken or renewed."""
        self._reckoning = self._reckoning.renewed(
            own=lease.own, wall=lease.wall, fence=lease.fence, monotonic=self._monotonic()
        )

    def own(self) -> float:
        """Return the service's own time, near to Unix seconds."""
        return self._reckoning.own_at(self._monotonic())

    def wall(self) -> float:
        """Return the database's wall clock, in Unix seconds."""
        return self._reckoning.wall_at(self._monotonic())

    def monotonic(self) -> float:
        """Return the process's monotonic clock."""
        return self._monotonic()
