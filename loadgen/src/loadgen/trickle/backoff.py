"""Less traffic while the workload is in trouble: pure, the time comes in as an argument."""

from loadgen.trickle.client import Outcome

_FIRST_SECONDS = 1.0
_LONGEST_SECONDS = 30.0
# One failure is daily life; what lasts is worth a line in the log.
_TOLD_AFTER = 3


class Backoff:
    """Holds requests back after failures, longer each time, until one succeeds."""

    def __init__(self) -> None:
        self._failures = 0
        self._until = 0.0
        self._since = 0.0
        self._told = False

    def holds(self, now: float) -> bool:
        return now < self._until

    def observe(self, outcome: Outcome, now: float) -> str | None:
        """Take an outcome; return what to say about it, once per trouble and once at its end."""
        if outcome.ok:
            return self._over(now)
        if outcome.wait is None:
            return None
        if self._failures == 0:
            self._since = now
        # Requests that were under way together fail together, and are one failure.
        if not self.holds(now):
            delay = _FIRST_SECONDS * 2.0 ** min(self._failures, 10)
            self._until = now + min(max(delay, outcome.wait), _LONGEST_SECONDS)
            self._failures += 1
        if self._failures < _TOLD_AFTER or self._told:
            return None
        self._told = True
        return f"{outcome.detail}; trying again, at least every {_LONGEST_SECONDS:g} s"

    def _over(self, now: float) -> str | None:
        lasted, told = now - self._since, self._told
        self._failures, self._until, self._told = 0, 0.0, False
        return f"answers again after {lasted:.0f} s" if told else None
