"""The kinds of event: by which dimensions each is counted, and what is counted of it."""

from __future__ import annotations

from dataclasses import dataclass

OTHER = "__other__"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of event.

    ``counters`` are whole numbers that add up; the first is always the number of events.
    ``value`` names what is measured as a distribution (count, sum, squares, least, greatest, histogram), if anything.
    """

    name: str
    dimensions: tuple[str, ...]
    counters: tuple[str, ...]
    value: str | None

    def counter(self, name: str) -> int:
        """Return the column of counter ``name``."""
        return self.counters.index(name)


_WHERE = ("operation", "environment", "gap_priority")
# A flag's variant cuts across every kind: an event with flags is counted once plainly (both None)
# and once more for each of its flags, so that plain totals never count it twice.
FLAG_DIMENSIONS = ("flag_key", "variant")

PERFORMANCE = Kind(
    "performance", (*_WHERE, "error_type", *FLAG_DIMENSIONS), ("count", "errors"), "duration_ms"
)
LLM_CALL = Kind(
    "llm_call",
    (*_WHERE, "provider", "model", "error_type", *FLAG_DIMENSIONS),
    (
        "count",
        "errors",
        "cost_nanos",
        "unpriced",
        "input_tokens",
        "output_tokens",
        "cached_input_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "cache_hits",
        "cache_savings_nanos",
    ),
    "duration_ms",
)
QUALITY = Kind(
    "quality",
    (*_WHERE, "evaluator", *FLAG_DIMENSIONS),
    ("count", "refined", "refined_known", "accepted_first_pass", "accepted_first_pass_known"),
    "score",
)
CACHE = Kind(
    "cache",
    (*_WHERE, "layer", *FLAG_DIMENSIONS),
    ("count", "hits", "misses_cold", "misses_expired", "misses_evicted", "saved_nanos"),
    "saved_ms",
)
EXPOSURE = Kind("exposure", (*_WHERE, *FLAG_DIMENSIONS), ("count",), None)
PROBE = Kind(
    "probe", (*_WHERE, "target", "probe_kind", *FLAG_DIMENSIONS), ("count", "up"), "latency_ms"
)
MEASUREMENT = Kind("measurement", (*_WHERE, "name", "unit", *FLAG_DIMENSIONS), ("count",), "value")

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (PERFORMANCE, LLM_CALL, QUALITY, CACHE, EXPOSURE, PROBE, MEASUREMENT)
}
