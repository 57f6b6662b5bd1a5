from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_svc.domain import summary as summaries
from metrics_svc.domain.block import Records, encode, observed
from metrics_svc.domain.histogram import RELATIVE_ERROR
from metrics_svc.domain.kind import EXPOSURE, PERFORMANCE
from metrics_svc.domain.summary import Summary, TooManyCellsError, grouping, summarise
from metrics_svc.domain.window import Window
from tests.metrics_svc.unit.blocks import decoded

SERIES: dict[int, Any] = {
    1: ("search", "production", None, None, None, None),
    2: ("search", "production", "high", None, None, None),
    3: ("chat", "production", "high", None, None, None),
    4: ("chat", "staging", "high", "Timeout", None, None),
    5: ("search", "production", "high", None, "ranker", "a"),
    6: ("never", "production", None, None, None, None),
}
Observation = tuple[int, int, float | None]
# Series, bucket (of five), value.
observations = st.lists(
    st.tuples(
        st.integers(1, 5),
        st.integers(0, 4).map(lambda n: n * 10),
        st.none() | st.floats(min_value=0.001, max_value=1e6),
    ),
    max_size=40,
)


def records(found: Sequence[Observation]) -> Records:
    """Store each observation as a row of its own, as writers would that know nothing of each other."""
    rows = []
    for series, bucket, value in found:
        single = observed(np.array([[1, 0]]), np.array([np.nan if value is None else value]))
        rows.append((bucket, *encode(single.with_keys(np.array([series])))[:2]))
    return decoded(2, [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows])


def summed(
    found: Sequence[Observation],
    group_by: Sequence[str] = (),
    filters: Any = None,
    step: int | None = None,
) -> Summary:
    by = grouping(PERFORMANCE, SERIES, group_by, filters or {})
    return summarise(PERFORMANCE, records(found), by, Window(0, 50, step), histogram=True)


def cells(found: Summary) -> dict[Any, int]:
    """Return the counts that are not zero, by group and step."""
    counts = found.counter("count").tolist()
    width = len(found.steps)
    return {
        (found.groups[cell // width], found.steps[cell % width]): count
        for cell, count in enumerate(counts)
        if count
    }


@given(observations, st.sampled_from([None, 10, 20, 50]))
def test_sums_by_group_and_step_are_those_of_counting(
    found: list[Observation], step: int | None
) -> None:
    told = summed(found, ("operation", "gap_priority"), step=step)

    expected: dict[Any, int] = {}
    for series, bucket, _ in found:
        if series == 5:
            continue
        operation, _, priority, *_ = SERIES[series]
        key = ((operation, priority), 0 if step is None else bucket // step * step)
        expected[key] = expected.get(key, 0) + 1
    assert cells(told) == expected


@given(observations, st.sampled_from([0.0, 0.1, 0.5, 0.95, 1.0]))
def test_quantiles_by_group_are_within_the_relative_error(
    found: list[Observation], wanted: float
) -> None:
    told = summed(found, ("operation",))

    for group, value in zip(told.groups, told.quantile(wanted).tolist(), strict=True):
        mine = [v for s, _, v in found if (SERIES[s][0],) == group and s != 5 and v is not None]
        if mine:
            assert value == pytest.approx(np.quantile(mine, wanted), rel=RELATIVE_ERROR + 1e-9)
        else:
            assert np.isnan(value)


@given(observations, st.sampled_from([None, 10]))
def test_regrouping_is_the_same_as_grouping_by_less(
    found: list[Observation], step: int | None
) -> None:
    fine = summed(found, ("operation", "gap_priority"), step=step)

    for names in ((), ("operation",), ("gap_priority",), ("gap_priority", "operation")):
        coarse, direct = fine.regroup(names), summed(found, names, step=step)
        assert cells(coarse) == cells(direct)
        assert sorted(coarse.quantile(0.5).tolist()) == pytest.approx(
            sorted(direct.quantile(0.5).tolist()), nan_ok=True
        )


def test_extremes_are_exact_and_bound_every_quantile() -> None:
    told = summed([(1, 0, 1000.0), (1, 0, 1001.0), (1, 10, 999.0)])

    assert (told.low.tolist(), told.high.tolist()) == ([999.0], [1001.0])
    for wanted in (0.0, 0.5, 1.0):
        assert 999 <= told.quantile(wanted)[0] <= 1001


def test_large_histograms_are_added_up_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    found = [(int(rng.integers(1, 5)), 0, float(v)) for v in rng.lognormal(3, 2, 300)]
    counted = summed(found, ("operation",))

    monkeypatch.setattr(summaries, "_DENSE_LIMIT", 0)
    ordered = summed(found, ("operation",))

    assert ordered.histograms is not None
    assert counted.histograms is not None
    for name in ("cell", "code", "count"):
        one, other = getattr(ordered.histograms, name), getattr(counted.histograms, name)
        assert one.tolist() == other.tolist()


def test_nothing_without_dimensions_is_one_sum_of_zero() -> None:
    told = summed([])

    assert told.groups == [()]
    assert told.counters.tolist() == [[0, 0]]
    assert np.isnan(told.quantile(0.5)).all()


def test_nothing_by_dimensions_has_no_groups_and_can_be_regrouped() -> None:
    told = summed([], ("operation", "gap_priority"), step=10)

    assert told.groups == []
    assert told.quantile(0.5).tolist() == []
    assert told.regroup(("operation",)).groups == []
    everything = told.regroup(())
    assert everything.groups == [()]
    assert everything.counter("count").tolist() == [0] * 5
    assert np.isnan(everything.quantile(0.5)).all()


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, 4),
        ({"operation": {"search"}}, 2),
        ({"gap_priority": {None}}, 1),
        ({"gap_priority": {None, "high"}}, 4),
        ({"operation": {"chat"}, "environment": {"production"}}, 1),
        ({"error_type": {None}}, 3),
        ({"flag_key": {"ranker"}}, 1),
        ({"operation": {"never"}}, 0),
    ],
)
def test_filters_let_through_the_series_they_name(filters: Any, expected: int) -> None:
    found: list[Observation] = [(series, 0, 1.0) for series in range(1, 6)]

    told = summed(found, filters={k: frozenset(v) for k, v in filters.items()})

    assert told.counter("count").tolist() == [expected]


def test_series_of_flags_take_part_only_where_a_flag_is_asked_for() -> None:
    plain = grouping(PERFORMANCE, SERIES, ("operation",), {})
    flagged = grouping(PERFORMANCE, SERIES, ("variant",), {})

    assert plain.group_of[5] == -1
    assert flagged.groups == [("a",)]
    assert (flagged.group_of >= 0).sum() == 1


def test_exposures_are_counted_though_each_has_a_flag() -> None:
    known: Any = {1: (None, "production", None, "f", "v")}

    assert grouping(EXPOSURE, known, (), {}).group_of.tolist() == [-1, 0]


def test_series_that_nobody_knows_yet_are_left_out() -> None:
    assert cells(summed([(1, 0, 1.0), (99, 0, 1.0)])) == {((), 0): 1}


def test_groups_that_do_not_occur_are_left_out() -> None:
    assert summed([(3, 0, 1.0)], ("operation",)).groups == [("chat",)]


def test_steps_and_groups_that_multiply_beyond_reason_are_refused() -> None:
    by = grouping(PERFORMANCE, SERIES, ("operation",), {})

    with pytest.raises(TooManyCellsError, match="60000 values"):
        summarise(
            PERFORMANCE,
            records([(1, 0, 1.0), (3, 0, 1.0)]),
            by,
            Window(0, 300_000, 10),
            histogram=False,
        )
