from __future__ import annotations

import math

import numpy as np
import pytest

from metrics_svc.domain.block import encode, observed
from metrics_svc.domain.kind import KINDS, LLM_CALL, QUALITY, Kind
from metrics_svc.domain.measure import MEASURES, Measure, evaluate, percentile
from metrics_svc.domain.summary import Summary, grouping, summarise
from metrics_svc.domain.window import Window
from tests.metrics_svc.unit.blocks import decoded

SECONDS = np.array([60.0])


def summary(kind: Kind, counters: list[list[int]], values: list[float]) -> Summary:
    single = observed(
        np.array(counters, np.int64).reshape(-1, len(kind.counters)), np.array(values)
    )
    totals, entries, _ = encode(single.with_keys(np.ones(len(values), np.int64)))
    by = grouping(kind, {1: (None,) * len(kind.dimensions)}, (), {})
    records = decoded(len(kind.counters), [0], [totals], [entries])
    return summarise(kind, records, by, Window(0, 60), histogram=True)


def told(name: str, aggregation: str, found: Summary) -> float:
    (value,) = evaluate(MEASURES[name], aggregation, found, seconds=SECONDS).tolist()
    return float(value)


SCORES = [2.0, 4.0, 9.0]
JUDGED = summary(QUALITY, [[1, 1, 1, 0, 0], [1, 0, 1, 0, 0], [1, 0, 0, 0, 0]], SCORES)
NOTHING = summary(QUALITY, [], [])


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("count", 3),
        ("sum", 15),
        ("rate", 3 / 60),
        ("avg", 5),
        ("min", 2),
        ("max", 9),
        ("stddev", np.std(SCORES)),
        ("p0", 2),
        ("p50", 4),
        ("p100", 9),
    ],
)
def test_value_is_aggregated(aggregation: str, expected: float) -> None:
    assert told("quality.score", aggregation, JUDGED) == pytest.approx(expected, rel=0.006)


@pytest.mark.parametrize(
    ("aggregation", "expected"), [("sum", 1), ("count", 3), ("rate", 1 / 60), ("avg", 1 / 3)]
)
def test_counter_is_aggregated(aggregation: str, expected: float) -> None:
    assert told("quality.refined", aggregation, JUDGED) == pytest.approx(expected)


def test_nano_dollars_are_told_in_dollars() -> None:
    row = [1 if name == "count" else 0 for name in LLM_CALL.counters]
    row[LLM_CALL.counter("cost_nanos")] = 1_500_000_000

    found = summary(LLM_CALL, [row], [1.0])

    assert told("llm_call.cost_usd", "sum", found) == 1.5
    assert MEASURES["llm_call.cost_usd"].unit == "usd"


@pytest.mark.parametrize("aggregation", ["count", "sum", "rate"])
def test_how_much_of_nothing_is_zero(aggregation: str) -> None:
    assert told("quality.score", aggregation, NOTHING) == 0
    assert told("quality.refined", aggregation, NOTHING) == 0


@pytest.mark.parametrize("aggregation", ["avg", "min", "max", "stddev", "p95"])
def test_what_nothing_is_like_is_no_number(aggregation: str) -> None:
    assert not math.isfinite(told("quality.score", aggregation, NOTHING))


@pytest.mark.parametrize(
    ("text", "share"),
    [("p0", 0), ("p5", 0.05), ("p50", 0.5), ("p99.9", 0.999), ("p100", 1), ("p100.0", 1)],
)
def test_percentile_is_read(text: str, share: float) -> None:
    assert percentile(text) == pytest.approx(share)


@pytest.mark.parametrize(
    "text", ["p", "50", "p-1", "p101", "p100.1", "P50", "p1e1", "p50.", "p50 ", "p.5", "p1000"]
)
def test_what_is_no_percentile_is_not_read(text: str) -> None:
    assert percentile(text) is None


def test_every_counter_and_value_has_one_measure() -> None:
    expected = sum(len(kind.counters) + (kind.value is not None) for kind in KINDS.values())

    assert len(MEASURES) == expected
    assert all(name == measure.name for name, measure in MEASURES.items())


@pytest.mark.parametrize("measure", MEASURES.values(), ids=lambda m: m.name)
def test_whatever_is_allowed_can_be_evaluated(measure: Measure) -> None:
    found = summary(measure.kind, [[1] * len(measure.kind.counters)], [3.0])

    for aggregation in (*measure.aggregations, "p95", "mode", "ratio", ""):
        if measure.allows(aggregation):
            evaluate(measure, aggregation, found, seconds=SECONDS)
        elif percentile(aggregation) is None:
            with pytest.raises(ValueError, match="no aggregation"):
                evaluate(measure, aggregation, found, seconds=SECONDS)


def test_counter_has_no_percentiles() -> None:
    assert not MEASURES["quality.refined"].allows("p95")
    assert MEASURES["quality.score"].allows("p95")
