"""The service's own time: it passes as fast as the true one, and never steps.

Timers count in it. One process counts with its monotonic clock; what it counts is kept with the lease, and the next one
goes on from there. So neither a step of the process's clock nor one of the database's moves a timer.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reckoning:
    """What ``own`` time and the true time (``wall``) were when the monotonic clock read ``monotonic``.

    ``fence`` is of the lease that said so, ``None`` before the first one: then the process's clock said it.
    """

    own: float
    wall: float
    monotonic: float
    fence: int | None = None

    def own_at(self, monotonic: float) -> float:
        """Return own time at a reading of the monotonic clock."""
        return self.own + (monotonic - self.monotonic)

    def wall_at(self, monotonic: float) -> float:
        """Return the true time at a reading of the monotonic clock."""
        return self.wall + (monotonic - self.monotonic)

    def renewed(self, *, own: float, wall: float, fence: int, monotonic: float) -> Reckoning:
        """Return the reckoning after a lease was taken or renewed.

        A renewal sets the true time alone: own time is this process's to count. With a lease newly taken own time goes on from
        what the store says, and where this process has held one before it does not go back behind its own count.
        """
        if self.fence is None:
            counted = own
        elif fence == self.fence:
            counted = self.own_at(monotonic)
        else:
            counted = max(own, self.own_at(monotonic))
        return Reckoning(counted, wall, monotonic, fence)


def resumed(own: float, *, wall: float, now: float) -> float:
    """Return own time when a lease is taken: the stored one, and what the true time has gone on since.

    ``wall`` is the true time that was stored with ``own``. A clock that was set back meanwhile adds nothing.
    """
    return own + max(0.0, now - wall)


def shown(own: float, *, own_now: float, wall_now: float) -> float:
    """Return the true time that a moment of own time is shown as."""
    return own + (wall_now - own_now)
