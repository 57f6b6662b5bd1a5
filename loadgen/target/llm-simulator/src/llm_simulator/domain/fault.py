"""What can be made to go wrong while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong; the defaults are a provider in good health.

    ``quality_drop`` is the share of what makes an answer good that is left out.
    """

    error_rate: float = 0.0
    error_status: int = 500
    slow_first_token_factor: float = 1.0
    cut_stream_rate: float = 0.0
    quality_drop: float = 0.0
    outage: bool = False


NONE = Faults()


@dataclass(slots=True)
class FaultSwitch:
    """The faults in force, until their time is over; time is handed in."""

    _faults: Faults = field(default=NONE)
    _until: float = field(default=float("inf"))

    def set(self, faults: Faults, now: float, for_seconds: float | None = None) -> None:
        """Put ``faults`` in force in place of those before, for ever unless told for how long."""
        self._faults = faults
        self._until = float("inf") if for_seconds is None else now + for_seconds

    def current(self, now: float) -> Faults:
        """Return the faults in force."""
        if now >= self._until:
            self.set(NONE, now)
        return self._faults

    def remaining_seconds(self, now: float) -> float | None:
        """Return for how long they stay in force; None: until they are changed."""
        self.current(now)
        return None if self._until == float("inf") else self._until - now
