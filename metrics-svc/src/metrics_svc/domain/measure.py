"""Measures: everything that can be asked for by name, and how it is worked out of a summary."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from metrics_svc.domain.block import Floats
from metrics_svc.domain.kind import KINDS, Kind
from metrics_svc.domain.summary import Summary

_NANOS = "_nanos"
COUNTER_AGGREGATIONS = ("sum", "count", "rate", "avg")
VALUE_AGGREGATIONS = ("count", "rate", "sum", "avg", "min", "max", "stddev")
_PERCENTILES = "p0 to p100, such as p95 or p99.9"
_PERCENTILE = re.compile(r"p(\d{1,3}(?:\.\d{1,4})?)")


@dataclass(frozen=True, slots=True)
class Measure:
    """A counter of a kind of event, or (``counter`` is ``None``) the value that the kind measures."""

    name: str
    kind: Kind
    counter: str | None
    unit: str

    @property
    def aggregations(self) -> tuple[str, ...]:
        """The aggregations that the measure allows, as told to a user."""
        if self.counter is not None:
            return COUNTER_AGGREGATIONS
        return (*VALUE_AGGREGATIONS, _PERCENTILES)

    def allows(self, aggregation: str) -> bool:
        """Return whether ``aggregation`` can be worked out of this measure."""
        if self.counter is not None:
            return aggregation in COUNTER_AGGREGATIONS
        return aggregation in VALUE_AGGREGATIONS or percentile(aggregation) is not None

    def total(self, found: Summary) -> Floats:
        """Return the sum of the measure by cell, in its unit."""
        if self.counter is None:
            return found.moments[:, 1]
        column = found.counter(self.counter).astype(np.float64)
        return column / 1e9 if self.counter.endswith(_NANOS) else column

    def samples(self, found: Summary) -> Floats:
        """Return by cell of how many events or values the measure is made."""
        return found.counter("count").astype(np.float64) if self.counter else found.moments[:, 0]


def _measures() -> dict[str, Measure]:
    made: list[Measure] = []
    for kind in KINDS.values():
        for counter in kind.counters:
            money = counter.endswith(_NANOS)
            name = counter.removesuffix(_NANOS) + "_usd" if money else counter
            unit = "usd" if money else "tokens" if counter.endswith("_tokens") else "events"
            made.append(Measure(f"{kind.name}.{name}", kind, counter, unit))
        if kind.value is not None:
            unit = "ms" if kind.value.endswith("_ms") else kind.value
            made.append(Measure(f"{kind.name}.{kind.value}", kind, None, unit))
    return {measure.name: measure for measure in made}


MEASURES = _measures()


def percentile(aggregation: str) -> float | None:
    """Return the share of ``p95`` and its like (0.95), ``None`` if the text is not a percentile."""
    match = _PERCENTILE.fullmatch(aggregation)
    if match is None or float(match[1]) > 100:
        return None
    return float(match[1]) / 100


def evaluate(measure: Measure, aggregation: str, found: Summary, *, seconds: Floats) -> Floats:
    """Return an aggregation by cell, nan where there is nothing to tell.

    ``seconds`` is how long each cell lasted. Sums, counts and rates of nothing are 0.
    """
    samples = measure.samples(found)
    share = percentile(aggregation)
    if share is not None:
        return found.quantile(share)
    with np.errstate(divide="ignore", invalid="ignore"):
        match aggregation:
            case "count":
                return samples
            case "sum":
                return measure.total(found)
            case "rate":
                return (samples if measure.counter is None else measure.total(found)) / seconds
            case "avg":
                return measure.total(found) / samples
            case "min":
                return found.low
            case "max":
                return found.high
            case "stddev":
                mean = measure.total(found) / samples
                return np.sqrt(np.maximum(found.moments[:, 2] / samples - mean * mean, 0.0))
    raise ValueError(f"{measure.name} has no aggregation {aggregation!r}")
