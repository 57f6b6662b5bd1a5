"""The service's own time: it passes as fast as the true one, and never steps.

Timers count in it. One process counts with its monotonic clock; what it counts is kept with the lease, and the next one
goes on from there. So neither a step of the process's clock nor one of the database's moves a timer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Reckoning:
    """What ``own`` time and the true time (``wall``) were when the monotonic clock read ``monotonic``.

    ``fence`` is of the lease that said so.
    """

    own: float
    wall: float
    monotonic: float
    fence: int

    def own_at(self, monotonic: float) -> float:
        """Return own time at a reading of the monotonic clock."""
        return self.own + (monotonic - self.monotonic)

    def wall_at(self, monotonic: float) -> float:
        """Return the true time at a reading of the monotonic clock."""
        return self.wall + (monotonic - self.monotonic)

    def renewed(self, said: Reckoning) -> Reckoning:
        """Return the reckoning after the lease was renewed, or taken anew, which said so.

        A renewal sets the true time alone: own time is this process's to count. With a lease taken anew it goes on from
        what the store says, but not back behind this process's own count.
        """
        own = self.own_at(said.monotonic)
        if said.fence != self.fence:
            own = max(own, said.own)
        return replace(said, own=own)
