"""Burn rates over several windows."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from alerts_svc.domain.assessment import assess, queries, readings
from alerts_svc.domain.burn import burn_rate
from alerts_svc.domain.reading import Answer, Finding, Missing, Reading
from alerts_svc.domain.rule import BurnRate, BurnWindow, Query, Rule
from alerts_svc.domain.severity import Severity

WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL
FAST = BurnWindow(3600, 300, 14.4, CRITICAL)
SLOW = BurnWindow(21_600, 1800, 6.0, CRITICAL)
TICKET = BurnWindow(259_200, 21_600, 1.0, WARNING)
# A power of two, so that rates come out exactly.
BUDGET = 0.015625
CONDITION = BurnRate(
    "performance.errors", "performance.count", 1 - BUDGET, (FAST, SLOW, TICKET), ("operation",)
)
RULE = Rule("Burn", "performance", CONDITION, min_samples=20)


def reading(**rates: float | None) -> Reading:
    """Return a reading with these burn rates, by the length of the window."""
    lengths = ("h1", "m5", "h6", "m30", "d3")
    values = tuple(None if (r := rates.get(name, 0.0)) is None else r * BUDGET for name in lengths)
    return Reading(values, 100.0)


def level(given: Reading, held: Severity | None = None) -> Severity | None:
    outcome = assess(RULE, given, held)
    assert isinstance(outcome, Finding)
    return outcome.level


def test_every_length_is_asked_once() -> None:
    asked = queries(RULE)

    assert [query.window_seconds for query in asked] == [3600, 300, 21_600, 1800, 259_200]
    assert {(query.measure, query.aggregation, query.denominator) for query in asked} == {
        ("performance.errors", "ratio", "performance.count")
    }
    assert {query.group_by for query in asked} == {("operation",)}


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        pytest.param({}, None, id="nothing burns"),
        pytest.param({"h1": 20.0, "m5": 20.0}, CRITICAL, id="fast"),
        pytest.param({"h1": 20.0, "m5": 14.0}, None, id="over already"),
        pytest.param({"h1": 14.0, "m5": 20.0}, None, id="a blip"),
        pytest.param({"h6": 7.0, "m30": 7.0}, CRITICAL, id="slow"),
        pytest.param({"d3": 1.5, "h6": 1.5}, WARNING, id="ticket"),
        pytest.param({"h1": 20.0, "m5": 20.0, "d3": 2.0, "h6": 2.0}, CRITICAL, id="worst counts"),
    ],
)
def test_both_windows_have_to_burn(
    rates: dict[str, float | None], expected: Severity | None
) -> None:
    assert level(reading(**rates)) is expected


def test_burn_at_the_factor_does_not_fire() -> None:
    exact = replace(CONDITION, objective=0.5)
    given = Reading((7.2, 7.2, 0.0, 0.0, 0.0), 100.0)

    outcome = assess(replace(RULE, condition=exact), given, None)

    assert isinstance(outcome, Finding)
    assert outcome.level is None


def test_finding_tells_of_the_lesser_window_against_its_factor() -> None:
    assert assess(RULE, reading(h1=30.0, m5=20.0), None) == Finding(CRITICAL, 20.0, 14.4, 100.0)


def test_finding_below_all_factors_tells_of_the_nearest() -> None:
    assert assess(RULE, reading(d3=0.5, h6=0.5), None) == Finding(None, 0.5, 1.0, 100.0)


def test_pair_of_which_a_window_is_unknown_does_not_fire() -> None:
    assert level(reading(h1=None, m5=50.0)) is None
    assert level(reading(h1=50.0, m5=None, d3=2.0, h6=2.0)) is WARNING


def test_unknown_pair_does_not_resolve_what_may_stand_on_it() -> None:
    unknown = reading(h1=0.0, m5=None)

    assert assess(RULE, unknown, CRITICAL) == Missing("insufficient_data", 100.0)
    assert assess(RULE, unknown, WARNING) == Missing("insufficient_data", 100.0)


def test_unknown_pair_of_a_lower_level_is_no_hindrance() -> None:
    assert level(reading(h1=20.0, m5=20.0, d3=None), CRITICAL) is CRITICAL


def test_unknown_ticket_lets_a_page_fall_no_further_than_is_known() -> None:
    assert assess(RULE, reading(d3=None), CRITICAL) == Missing("insufficient_data", 100.0)


def test_nothing_known_is_missing() -> None:
    nothing = Reading((None,) * 5, 0.0)

    assert assess(RULE, nothing, None) == Missing("no_data", 0.0)


def test_window_with_too_few_samples_is_unknown_by_itself() -> None:
    answers: dict[Query, Answer] = {
        query: {("ask",): (0.5, 10.0 if query.window_seconds == 300 else 500.0)}
        for query in queries(RULE)
    }

    found = readings(RULE, answers)

    assert found == {("ask",): Reading((0.5, None, 0.5, 0.5, 0.5), 10.0)}


def test_group_that_only_a_long_window_has_is_read() -> None:
    long = queries(RULE)[-1]

    found = readings(RULE, {long: {("ask",): (0.5, 40.0)}})

    assert found == {("ask",): Reading((None, None, None, None, 0.5), 0.0)}


@pytest.mark.parametrize(
    ("ratio", "objective", "rate"),
    [
        (0.02, 0.99, 2.0),
        (0.0, 0.99, 0.0),
        (None, 0.99, None),
        (math.nan, 0.99, None),
        (math.inf, 0.99, None),
        (0.5, 1.0, None),
    ],
)
def test_burn_rate_is_the_ratio_over_the_budget(
    ratio: float | None, objective: float, rate: float | None
) -> None:
    found = burn_rate(ratio, objective)

    assert found == (None if rate is None else pytest.approx(rate))
