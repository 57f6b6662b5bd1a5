"""What the process tells of its caches on its own ``/metrics``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from adaptive_questions.caches.read_through import CacheStats


class CacheCollector(Collector):
    """Reads the caches' own counters at each scrape."""

    def __init__(self, stats: Callable[[], Mapping[str, CacheStats]]) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        """Yield the families, with a sample for each cache and layer."""
        entries = GaugeMetricFamily(
            "questions_cache_entries", "Entries in the process's own layer.", labels=["cache"]
        )
        shared = CounterMetricFamily(
            "questions_cache_shared",
            "Look-ups that waited for a value which another one was making.",
            labels=["cache"],
        )
        lookups = CounterMetricFamily(
            "questions_cache_lookups",
            "Look-ups by layer and result.",
            labels=["cache", "layer", "result"],
        )
        for name, stats in self._stats().items():
            entries.add_metric([name], stats.entries)
            shared.add_metric([name], stats.shared)
            lookups.add_metric([name, "l1", "hit"], stats.l1_hits)
            lookups.add_metric([name, "l1", "miss"], stats.l1_misses)
            lookups.add_metric([name, "l2", "hit"], stats.l2_hits)
            lookups.add_metric([name, "l2", "miss"], stats.l2_misses)
        yield from (entries, shared, lookups)
