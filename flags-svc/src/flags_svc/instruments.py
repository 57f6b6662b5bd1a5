"""The service's own metrics, as Prometheus names them."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# How soon a change is in force; what takes longer than the last of them has not come by itself.
APPLIED_BUCKETS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)


class Instruments:
    """What ``GET /metrics`` tells of the configuration and of who follows it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.revision = Gauge(
            "flags_revision", "Revision in force in this process.", registry=registry
        )
        self.confirmed = Gauge(
            "flags_confirmed",
            "Whether the database has told what is in force, and not only a file.",
            registry=registry,
        )
        self.streams = Gauge("flags_streams", "Clients that follow by a stream.", registry=registry)
        self.cut_off = Counter(
            "flags_streams_cut_off", "Streams of clients that took nothing.", registry=registry
        )
        self.applied = Histogram(
            "flags_change_applied_seconds",
            "Time from a change's commit until it was in force in this process.",
            buckets=APPLIED_BUCKETS,
            registry=registry,
        )
        self.gaps = Counter(
            "flags_gaps",
            "Messages that did not follow on what is known, or could not be read.",
            registry=registry,
        )
        self.reconciliations = Counter(
            "flags_reconciliations",
            "Times that the database was asked what is missing, by how that ended.",
            ["outcome"],
            registry=registry,
        )
        self.reports = Counter(
            "flags_reports", "Reports of processes that evaluate flags.", registry=registry
        )

    def watch(
        self,
        *,
        revision: Callable[[], float],
        confirmed: Callable[[], float],
        streams: Callable[[], float],
    ) -> None:
        """Tell what these say whenever somebody asks."""
        self.revision.set_function(revision)
        self.confirmed.set_function(confirmed)
        self.streams.set_function(streams)
