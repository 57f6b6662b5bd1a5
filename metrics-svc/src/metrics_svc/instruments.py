"""The service's own metrics, as Prometheus names them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import asyncpg
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from metrics_svc.domain.event import Cache, Exposure, LlmCall, Performance, Probe, Quality

# Client-made names must not become label values.
_FIELDS = frozenset(
    name
    for event in (Performance, LlmCall, Quality, Cache, Exposure, Probe)
    for name in (*event.__struct_fields__, "type")
)
_SIZES = (1, 10, 50, 100, 500, 1_000, 2_500, 5_000, 10_000)


class Instruments:
    """What ``GET /metrics`` tells of the ingest path."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.stored = Counter(
            "metrics_events_stored", "Events committed, by kind.", ["kind"], registry=registry
        )
        self.rejected = Counter(
            "metrics_events_rejected",
            "Events refused for good, by field.",
            ["field"],
            registry=registry,
        )
        self.refused = Counter(
            "metrics_events_refused", "Events refused for now, with 503.", registry=registry
        )
        self.duplicates = Counter(
            "metrics_batches_duplicate", "Batches that were stored before.", registry=registry
        )
        self.otlp_refused = Counter(
            "metrics_otlp_refused",
            "Spans and points refused for good, by reason.",
            ["signal", "reason"],
            registry=registry,
        )
        self.otlp_duplicates = Counter(
            "metrics_otlp_duplicates",
            "Spans and points that were stored before.",
            ["signal"],
            registry=registry,
        )
        self.announcements = Counter(
            "metrics_announcements",
            "Announcements on Redis that data changed, by outcome.",
            ["outcome"],
            registry=registry,
        )
        self.queue = Gauge(
            "metrics_ingest_queued_events", "Events waiting for their commit.", registry=registry
        )
        self.pool_size = Gauge("metrics_pool_connections", "Open connections.", registry=registry)
        self.pool_idle = Gauge(
            "metrics_pool_idle", "Open connections not in use.", registry=registry
        )
        self.series_limited = Gauge(
            "metrics_series_limited", "Series refused by the hourly limit.", registry=registry
        )
        self._flush_seconds = Histogram(
            "metrics_flush_duration_seconds", "Time of one group commit.", registry=registry
        )
        self._flush_events = Histogram(
            "metrics_flush_events", "Events of one group commit.", buckets=_SIZES, registry=registry
        )

    def watch(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        *,
        queued: Callable[[], int],
        limited: Callable[[], int],
    ) -> None:
        """Tell what these say whenever somebody asks."""
        self.pool_size.set_function(pool.get_size)
        self.pool_idle.set_function(pool.get_idle_size)
        self.queue.set_function(queued)
        self.series_limited.set_function(limited)

    def reject(self, path: str) -> None:
        """Count a refused event under the field that was wrong; what is not a field counts as other."""
        name = path.partition(".")[0].partition("[")[0]
        self.rejected.labels(name if name in _FIELDS else "other").inc()

    def refuse_otlp(self, signal: str, refusals: Mapping[str, int]) -> None:
        """Count refused ``spans`` or ``points``; the reasons are ours, a few dozen constant texts."""
        for reason, count in refusals.items():
            self.otlp_refused.labels(signal, reason).inc(count)

    def flushed(self, seconds: float, events: int) -> None:
        """Note a group commit."""
        self._flush_seconds.observe(seconds)
        self._flush_events.observe(events)
