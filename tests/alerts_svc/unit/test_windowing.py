"""Windows put together from steps."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts_svc.domain.rule import Query
from alerts_svc.domain.windowing import Measured, rolled


def over(aggregation: str, steps: list[Measured], *, length: int = 3) -> list[Measured]:
    query = Query("llm_call.cost_usd", aggregation, length * 60)
    return rolled(query, steps, step_seconds=60)


STEPS: list[Measured] = [(6.0, 2.0), (0.0, 0.0), (None, 0.0), (3.0, 1.0), (1.0, 3.0)]


@pytest.mark.parametrize(
    ("aggregation", "values"),
    [
        ("sum", [6.0, 6.0, 6.0, 3.0, 4.0]),
        ("count", [6.0, 6.0, 6.0, 3.0, 4.0]),
        ("rate", [6.0, 3.0, 3.0, 1.5, 2.0]),
        ("avg", [6.0, 6.0, 6.0, 3.0, 1.5]),
        ("ratio", [6.0, 6.0, 6.0, 3.0, 1.5]),
        ("p95", [6.0, 6.0, 6.0, 3.0, 1.5]),
        ("max", [6.0, 6.0, 6.0, 3.0, 3.0]),
        ("min", [6.0, 0.0, 0.0, 0.0, 1.0]),
    ],
)
def test_window_is_put_together_from_its_steps(aggregation: str, values: list[float]) -> None:
    found = over(aggregation, STEPS)

    assert [value for value, _ in found] == values
    assert [samples for _, samples in found] == [2.0, 2.0, 2.0, 1.0, 4.0]


@pytest.mark.parametrize("aggregation", ["sum", "rate", "avg", "max", "min"])
def test_window_without_values_has_none(aggregation: str) -> None:
    found = over(aggregation, [(5.0, 1.0), (None, 0.0), (None, 0.0), (None, 0.0)])

    assert found[-1] == (None, 0.0)


def test_window_no_longer_than_a_step_is_the_step() -> None:
    assert over("sum", STEPS, length=1) == STEPS


def test_window_that_is_no_whole_number_of_steps_is_rounded_up() -> None:
    query = Query("llm_call.cost_usd", "sum", 61)

    assert rolled(query, [(1.0, 1.0)] * 3, step_seconds=60) == [(1.0, 1.0), (2.0, 2.0), (2.0, 2.0)]


@given(
    st.lists(st.floats(0, 1e6).map(lambda value: round(value, 3)), min_size=1, max_size=60),
    st.integers(2, 10),
    st.sampled_from(["sum", "max", "min", "avg"]),
)
def test_every_window_agrees_with_its_steps_one_by_one(
    values: list[float], length: int, aggregation: str
) -> None:
    plain: dict[str, Callable[[list[float]], float]] = {
        "sum": math.fsum,
        "max": max,
        "min": min,
        "avg": lambda window: math.fsum(window) / len(window),
    }

    found = over(aggregation, [(value, 1.0) for value in values], length=length)

    for index, (value, samples) in enumerate(found):
        window = values[max(0, index + 1 - length) : index + 1]
        assert samples == len(window)
        assert value == pytest.approx(plain[aggregation](window), abs=1e-6)


@given(st.lists(st.floats(0.1, 1e9), min_size=1, max_size=20))
def test_errors_that_have_left_the_window_leave_nothing_behind(values: list[float]) -> None:
    quiet: list[Measured] = [(0.0, 1.0)] * 3

    found = over("ratio", [*((value, 7.0) for value in values), *quiet])

    assert found[-1] == (0.0, 3.0)
