"""The parts of the answer about health."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict

from metrics_svc.domain.health import ProbeResult
from metrics_svc.store.edition import Server
from metrics_svc.wire.answers import Answer, instant, percent

# How many checks of a target were made, and how many of them found it up.
Checks = tuple[int, int]


def components(results: Iterable[ProbeResult], checks: Mapping[str, Checks] | None) -> list[Answer]:
    """Return each target with its share of good checks; ``None`` for ``checks``: nobody knows."""
    return [
        {
            **asdict(result),
            "checked_at": instant(result.checked_at.timestamp()) if result.checked_at else None,
            **_uptime(None if checks is None else checks.get(result.target, (0, 0))),
        }
        for result in results
    ]


def _uptime(checks: Checks | None) -> Answer:
    if checks is None:
        return {"uptime_percent": None, "checks": None}
    made, good = checks
    return {"uptime_percent": percent(good, made), "checks": made}


def store(server: Server | None) -> Answer:
    """Return what the store is; ``None`` is one that does not answer."""
    if server is None:
        return {"edition": None, "version": None, "timescaledb_version": None, "status": "down"}
    return {
        "edition": server.edition,
        "version": server.version,
        "timescaledb_version": server.timescaledb,
        "status": "up",
    }


def ingest(queued: int, lag_seconds: float, last_commit: float | None) -> Answer:
    """Return how far what came in is stored; the last commit is this process's own."""
    return {
        "queued_events": queued,
        "lag_seconds": round(lag_seconds, 3),
        "last_commit_at": None if last_commit is None else instant(last_commit),
    }
