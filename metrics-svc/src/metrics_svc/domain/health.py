"""What the probes of dependencies say, and what follows from it for the whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

# The service's own database is probed under this name, and nothing works without it.
STORE = "postgresql"
# Events that wait so long for their commit are a fault even though the store answers.
MAX_LAG_SECONDS = 10.0

ProbeStatus = Literal["up", "down", "unknown"]
Overall = Literal["healthy", "degraded", "unhealthy", "unknown"]


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The latest check of a target; ``unknown`` when there is none, or none that still counts.

    ``detail`` says why a target is down.
    """

    target: str
    kind: str
    status: ProbeStatus = "unknown"
    latency_ms: float | None = None
    checked_at: datetime | None = None
    detail: str | None = None


def aged(result: ProbeResult, now: datetime, most: timedelta) -> ProbeResult:
    """Return ``result`` as it counts ``now``: one older than ``most`` says nothing any more."""
    if result.checked_at is None or now - result.checked_at <= most:
        return result
    return replace(result, status="unknown", latency_ms=None, detail="the last check is too old")


def overall(results: Iterable[ProbeResult], *, store_up: bool, lag_seconds: float) -> Overall:
    """Return the status of the whole, the worst that holds.

    Without the store it is unhealthy; with anything else down, or events that wait too long, degraded; when a
    target has no result that counts, nobody knows.
    """
    states = {result.status for result in results if result.target != STORE}
    if not store_up:
        return "unhealthy"
    if "down" in states or lag_seconds > MAX_LAG_SECONDS:
        return "degraded"
    return "unknown" if "unknown" in states else "healthy"
