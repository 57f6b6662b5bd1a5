from itertools import islice, pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from loadgen.trickle.arrivals import Arrivals, trace_offsets

ROUNDS = 3


@pytest.fixture(scope="module")
def offsets() -> list[float]:
    return trace_offsets()


def test_package_holds_the_first_two_thousand_arrivals_of_the_trace(offsets: list[float]) -> None:
    assert len(offsets) == 2_000
    assert offsets[:2] == [0.0, 4.315]
    assert offsets[-1] == 424.259
    assert all(before <= after for before, after in pairwise(offsets))


@pytest.mark.parametrize("rate", [0.5, 20, 600])
def test_scaling_keeps_the_count_and_the_mean_rate(offsets: list[float], rate: float) -> None:
    due = list(islice(Arrivals(offsets, rate).due(), ROUNDS * len(offsets)))

    assert due[0] == 0
    assert all(before <= after for before, after in pairwise(due))
    minutes = 60 * len(offsets) / rate
    first_round = [second for second in due if second < minutes]
    assert len(first_round) == pytest.approx(len(offsets), rel=0.01)
    assert len(due) / due[-1] * 60 == pytest.approx(rate, rel=0.01)


def test_spacing_within_a_round_is_the_traces_own(offsets: list[float]) -> None:
    distance = 60 / 20

    due = list(islice(Arrivals(offsets, 20).due(), 2 * len(offsets)))

    stretch = distance * (len(offsets) - 1) / offsets[-1]
    wanted = sorted(stretch * (after - before) for before, after in pairwise(offsets))
    a_round = [after - before for before, after in pairwise(due)][: len(offsets)]
    assert sorted(a_round) == pytest.approx(sorted([*wanted, distance]), abs=1e-6)


def test_first_minute_has_as_many_as_the_average_one(offsets: list[float]) -> None:
    first_minute = [second for second in islice(Arrivals(offsets, 20).due(), 100) if second <= 60]

    assert len(first_minute) >= 20


@given(
    st.lists(st.floats(0, 1000), min_size=2, max_size=50).map(sorted).filter(lambda o: o[-1] > 1),
    st.floats(0.1, 1000),
)
def test_any_trace_is_repeated_for_ever(trace: list[float], rate: float) -> None:
    trace = [offset - trace[0] for offset in trace]
    assume(trace[-1] > 0)

    due = list(islice(Arrivals(trace, rate).due(), ROUNDS * len(trace)))

    assert due[0] == 0
    assert all(before <= after + 1e-6 for before, after in pairwise(due))
    a_round = 60 / rate * len(trace)
    assert due[-1] == pytest.approx(ROUNDS * a_round, abs=a_round + 1e-6)
