from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_svc.domain.event import Measurement
from metrics_svc.otlp.buckets import Buckets
from metrics_svc.otlp.counters import CounterState, advance, dump_state, load_state
from metrics_svc.otlp.points import MAX_OBSERVATIONS, Kind, Point, Reading
from tests.metrics_svc.unit.otlp_messages import SECOND, T0, T0_NS

START = T0_NS - 3600 * SECOND


MANY = ((0, 10 * MAX_OBSERVATIONS), (10, 10 * MAX_OBSERVATIONS + 5))


def counter(value: float, at: int, *, start: int = START) -> Point:
    labels = Measurement(timestamp=T0, name="tokens", unit="{token}")
    time = T0_NS + at * SECOND
    return Point(b"k" * 16, Kind.CUMULATIVE, start, time, labels, Reading(value))


def histogram(buckets: Buckets, at: int, *, total: float | None = 0.0) -> Point:
    count = sum(buckets.positive.values()) + sum(buckets.negative.values()) + buckets.zero
    labels = Measurement(timestamp=T0, name="latency", unit="s")
    reading = Reading(total, count, 0.0, 1e9, buckets)
    return Point(b"h" * 16, Kind.CUMULATIVE, START, T0_NS + at * SECOND, labels, reading)


def run(points: Iterable[Point]) -> tuple[list[Measurement | None], CounterState]:
    """Advance through ``points``, storing and loading the state between them as the service does."""
    state: CounterState | None = None
    added = []
    for point in points:
        measurement, state = advance(state, point)
        state = load_state(dump_state(state))
        added.append(measurement)
    assert state is not None
    return added, state


def totals(measurements: Iterable[Measurement | None]) -> list[float | None]:
    return [measurement.total if measurement else None for measurement in measurements]


def test_counter_becomes_what_was_added() -> None:
    added, state = run([counter(10, 0), counter(25, 10), counter(25, 20), counter(26, 30)])

    assert totals(added) == [10, 15, None, 1]
    assert added[1] == Measurement(
        timestamp=T0, name="tokens", unit="{token}", total=15.0, low=15.0, high=15.0
    )
    assert state.reading.total == 26


def test_duplicate_and_late_points_change_nothing() -> None:
    points = [counter(10, 0), counter(30, 20), counter(30, 20), counter(20, 10), counter(40, 30)]

    added, _ = run(points)

    assert totals(added) == [10, 20, None, None, 10]


def test_later_start_is_a_reset_even_where_the_value_rose() -> None:
    added, _ = run([counter(10, 0), counter(50, 10, start=T0_NS + SECOND)])

    assert totals(added) == [10, 50]


def test_value_that_fell_is_a_reset() -> None:
    added, _ = run([counter(10, 0), counter(4, 10), counter(6, 20)])

    assert totals(added) == [10, 4, 2]


def test_point_of_an_earlier_start_is_of_a_process_that_has_gone() -> None:
    added, state = run([counter(10, 0), counter(500, 10, start=START - SECOND), counter(11, 20)])

    assert totals(added) == [10, None, 1]
    assert state.start_ns == START


@pytest.mark.parametrize("start", [0, T0_NS], ids=["absent", "the point's own time"])
def test_first_value_of_an_unknown_start_is_a_baseline_only(start: int) -> None:
    added, _ = run([counter(1000, 0, start=start), counter(1010, 10, start=start)])

    assert totals(added) == [None, 10]


def test_more_observations_than_can_have_been_made_since_are_a_baseline_only() -> None:
    added, _ = run([histogram(Buckets({0: count}, bounds=(1.0,)), at) for at, count in MANY])

    assert [each and each.count for each in added] == [None, 5]


def test_integers_stay_exact_beyond_what_a_double_holds() -> None:
    added, _ = run([counter(2**60, 0), counter(2**60 + 1, 10)])

    assert totals(added) == [float(2**60), 1.0]


@given(
    st.lists(
        st.lists(st.integers(0, 1000), min_size=1, max_size=6),
        min_size=1,
        max_size=4,
    )
)
def test_sum_of_what_was_added_is_the_sum_of_each_life(lives: list[list[int]]) -> None:
    points = []
    clock = 0
    for life in lives:
        start = T0_NS + clock * SECOND + 1
        value = 0
        for step in life:
            clock += 10
            value += step
            points.append(counter(value, clock, start=start))

    added, _ = run(points)

    assert sum(total or 0 for total in totals(added)) == sum(map(sum, lives))


@given(
    steps=st.lists(st.integers(0, 1000), min_size=1, max_size=8),
    arrival=st.randoms(use_true_random=False),
)
def test_sum_survives_reordering_and_repetition(steps: list[int], arrival: random.Random) -> None:
    points = [counter(sum(steps[: i + 1]), i * 10) for i in range(len(steps))] * 2
    arrival.shuffle(points)

    added, state = run(points)

    assert sum(total or 0 for total in totals(added)) == sum(steps)
    assert state.reading.total == sum(steps)


@given(values=st.lists(st.integers(0, 50), min_size=1, max_size=10))
def test_falling_values_alone_tell_resets_as_prometheus_does(values: list[int]) -> None:
    added, _ = run([counter(value, i * 10) for i, value in enumerate(values)])

    expected = values[0]
    for before, after in pairwise(values):
        expected += after - before if after >= before else after
    assert sum(total or 0 for total in totals(added)) == expected


def test_histogram_becomes_the_buckets_that_were_added() -> None:
    bounds = (1.0, 4.0, 16.0)
    points = [
        histogram(Buckets({0: 1, 1: 2}, bounds=bounds), 0, total=10.0),
        histogram(Buckets({0: 1, 1: 5, 3: 1}, bounds=bounds), 10, total=42.0),
    ]

    added, _ = run(points)

    assert added[1] == Measurement(
        timestamp=T0,
        name="latency",
        unit="s",
        total=32.0,
        count=4,
        low=2.0,
        high=16.0,
        bins=((2.0, 3), (16.0, 1)),
    )


@pytest.mark.parametrize(
    "now",
    [
        Buckets({0: 9}, bounds=(1.0, 2.0)),
        Buckets({0: 1, 1: 8}, bounds=(1.0, 4.0, 16.0)),
        Buckets({0: 9}, scale=3),
    ],
    ids=["other bounds", "a bucket fell", "other kind"],
)
def test_histogram_whose_buckets_cannot_follow_is_a_reset(now: Buckets) -> None:
    before = Buckets({0: 2, 1: 2}, bounds=(1.0, 4.0, 16.0))

    added, _ = run([histogram(before, 0), histogram(now, 10)])

    assert added[1] is not None
    assert added[1].count == 9


def indexed(values: Iterable[float], scale: int) -> dict[int, int]:
    return dict(Counter(math.ceil(math.log2(value) * 2**scale) - 1 for value in values))


@given(
    before=st.lists(st.floats(0.001, 1000), max_size=20),
    after=st.lists(st.floats(0.001, 1000), min_size=1, max_size=20),
    zeros=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    scales=st.tuples(st.integers(-2, 6), st.integers(-2, 6)),
)
def test_exponential_histogram_that_changed_its_scale_adds_up(
    before: list[float], after: list[float], zeros: tuple[int, int], scales: tuple[int, int]
) -> None:
    earlier = Buckets(indexed(before, scales[0]), {}, zeros[0], scales[0])
    now = Buckets(indexed(before + after, scales[1]), {}, sum(zeros), scales[1])

    added = now.since(earlier)

    assert added is not None
    assert added == Buckets(indexed(after, min(scales)), {}, zeros[1], min(scales))


def test_state_of_a_histogram_survives_storage() -> None:
    buckets = Buckets({-5: 2**40, 7: 1}, {3: 2}, 9, scale=-2)

    _, state = advance(None, histogram(buckets, 0, total=None))

    assert load_state(dump_state(state)) == state
    assert state.reading.buckets == buckets
