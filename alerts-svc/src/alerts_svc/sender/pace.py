"""How fast a channel may be used."""

from __future__ import annotations

from dataclasses import dataclass

from alerts_svc.domain.channel import Kind


@dataclass(frozen=True, slots=True)
class Limits:
    """``concurrency`` attempts at once, begun at least ``spacing_seconds`` apart."""

    concurrency: int = 1
    spacing_seconds: float = 0.05


_LIMITS = {
    # Slack allows one message a second, and stops applications that keep sending faster.
    Kind.SLACK: Limits(spacing_seconds=1.0),
    Kind.WEBHOOK: Limits(concurrency=4),
    Kind.CONSOLE: Limits(concurrency=4, spacing_seconds=0.0),
}


def limits(kind: Kind) -> Limits:
    """Return what a kind of channel bears."""
    return _LIMITS.get(kind, Limits())


class Pace:
    """When a channel may be used next, on a monotonic clock."""

    def __init__(self) -> None:
        self._free_at = float("-inf")

    def wait(self, now: float) -> float:
        """Return for how long to wait from ``now``."""
        return max(0.0, self._free_at - now)

    def used(self, now: float, spacing: float) -> None:
        """Take note that an attempt begins."""
        self._free_at = max(self._free_at, now + spacing)

    def hold(self, until: float) -> None:
        """Do not use the channel until then: the receiver has asked for it."""
        self._free_at = max(self._free_at, until)
