"""The simulator's own metrics, as Prometheus names them."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Instruments:
    """What ``GET /metrics`` tells of the calls."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Counter(
            "simulator_calls",
            "Calls that had a slot or waited for one, by model and outcome: answered or cut.",
            ["model", "outcome"],
            registry=registry,
        )
        self.refused = Counter(
            "simulator_calls_refused", "Calls refused, by status.", ["status"], registry=registry
        )
        self.queued = Histogram(
            "simulator_queue_duration_seconds",
            "Time that calls waited for a slot.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._busy = Gauge("simulator_slots_busy", "Calls that run.", registry=registry)
        self._waiting = Gauge("simulator_queue_length", "Calls that wait.", registry=registry)

    def watch(self, *, busy: Callable[[], int], waiting: Callable[[], int]) -> None:
        """Tell what these say whenever somebody asks."""
        self._busy.set_function(busy)
        self._waiting.set_function(waiting)

    def count(self, model: str, outcome: str) -> None:
        """Count a call of a model of the catalogue."""
        self._calls.labels(model, outcome).inc()
