"""What readings say of a rule with thresholds."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from alerts_svc.domain.assessment import assess, labels_of, queries, readings
from alerts_svc.domain.reading import Answer, Finding, Missing, Reading
from alerts_svc.domain.rule import Comparison, Query, Rule, Threshold
from alerts_svc.domain.severity import Severity

WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL
QUERY = Query("performance.errors", "ratio", 900, "performance.count", ("operation",))


def rule(
    comparison: Comparison = Comparison.ABOVE,
    warning: float | None = 5.0,
    critical: float | None = 10.0,
    *,
    hysteresis: float = 0.0,
    scale: float = 1.0,
) -> Rule:
    condition = Threshold(QUERY, comparison, warning, critical, hysteresis, scale)
    return Rule("ErrorRate", "performance", condition, min_samples=20)


def level(given: Rule, value: float, held: Severity | None = None) -> Severity | None:
    outcome = assess(given, Reading((value,), 20.0), held)
    assert isinstance(outcome, Finding)
    return outcome.level


@pytest.mark.parametrize(
    ("comparison", "value", "expected"),
    [
        (Comparison.ABOVE, 4.9, None),
        (Comparison.ABOVE, 5.0, None),
        # As 100 * 0.07 is to 7.
        (Comparison.ABOVE, math.nextafter(5.0, 6.0), None),
        (Comparison.ABOVE, 5.000001, WARNING),
        (Comparison.ABOVE, 10.0, WARNING),
        (Comparison.ABOVE, 10.1, CRITICAL),
        (Comparison.ABOVE, 1e308, CRITICAL),
        (Comparison.ABOVE, -1.0, None),
        (Comparison.AT_LEAST, 4.9, None),
        (Comparison.AT_LEAST, 5.0, WARNING),
        (Comparison.AT_LEAST, 10.0, CRITICAL),
    ],
)
def test_high_value_reaches_a_level(
    comparison: Comparison, value: float, expected: Severity | None
) -> None:
    assert level(rule(comparison), value) is expected


@pytest.mark.parametrize(
    ("comparison", "value", "expected"),
    [
        (Comparison.BELOW, 6.0, None),
        (Comparison.BELOW, 5.9, WARNING),
        (Comparison.BELOW, 5.0, WARNING),
        (Comparison.BELOW, -1e308, CRITICAL),
        (Comparison.AT_MOST, 6.1, None),
        (Comparison.AT_MOST, 6.0, WARNING),
        (Comparison.AT_MOST, 5.0, CRITICAL),
    ],
)
def test_low_value_reaches_a_level(
    comparison: Comparison, value: float, expected: Severity | None
) -> None:
    assert level(rule(comparison, 6.0, 5.0), value) is expected


@pytest.mark.parametrize(
    ("held", "value", "expected"),
    [
        (None, 4.5, None),
        (WARNING, 4.5, WARNING),
        (WARNING, 4.0, None),
        (WARNING, 9.5, WARNING),
        (CRITICAL, 9.5, CRITICAL),
        (CRITICAL, 9.0, WARNING),
        (CRITICAL, 4.5, WARNING),
        (CRITICAL, 3.9, None),
    ],
)
def test_level_is_left_later_than_it_is_reached(
    held: Severity | None, value: float, expected: Severity | None
) -> None:
    assert level(rule(hysteresis=1.0), value, held) is expected


@pytest.mark.parametrize(
    ("comparison", "value", "expected"),
    [
        (Comparison.BELOW, 6.4, WARNING),
        (Comparison.BELOW, 6.5, None),
        (Comparison.AT_MOST, 6.5, WARNING),
        (Comparison.AT_MOST, 6.6, None),
    ],
)
def test_low_level_is_left_later_than_it_is_reached(
    comparison: Comparison, value: float, expected: Severity | None
) -> None:
    assert level(rule(comparison, 6.0, None, hysteresis=0.5), value, WARNING) is expected


@pytest.mark.parametrize("held", [None, WARNING, CRITICAL])
def test_without_hysteresis_equality_never_holds(held: Severity | None) -> None:
    assert level(rule(), 5.0, held) is None


def test_finding_names_what_it_was_compared_with() -> None:
    given = rule(scale=100.0)

    assert assess(given, Reading((0.0625,), 20.0), None) == Finding(WARNING, 6.25, 5.0, 20.0)
    assert assess(given, Reading((0.25,), 20.0), None) == Finding(CRITICAL, 25.0, 10.0, 20.0)
    assert assess(given, Reading((0.01,), 20.0), None) == Finding(None, 1.0, 5.0, 20.0)


def test_rule_with_one_level_names_that() -> None:
    outcome = assess(rule(warning=None), Reading((7.0,), 20.0), None)

    assert outcome == Finding(None, 7.0, 10.0, 20.0)


@pytest.mark.parametrize(
    "value", [None, math.nan, math.inf, -math.inf], ids=["null", "nan", "inf", "-inf"]
)
def test_what_is_no_number_is_missing(value: float | None) -> None:
    assert assess(rule(), Reading((value,), 50.0), None) == Missing("no_data", 50.0)


def test_value_that_its_scale_makes_infinite_is_missing() -> None:
    assert assess(rule(scale=1e9), Reading((1e308,), 50.0), None) == Missing("no_data", 50.0)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [(19.0, "insufficient_data"), (1.0, "insufficient_data"), (0.0, "no_data")],
)
def test_too_few_samples_say_nothing(samples: float, reason: str) -> None:
    assert assess(rule(), Reading((99.0,), samples), CRITICAL) == Missing(reason, samples)


def test_samples_that_are_no_number_are_too_few() -> None:
    assert isinstance(assess(rule(), Reading((99.0,), math.nan), None), Missing)


def test_groups_of_an_answer_become_readings() -> None:
    answers: dict[Query, Answer] = {QUERY: {("ask",): (0.5, 30.0), (None,): (None, 0.0)}}

    assert queries(rule()) == (QUERY,)
    assert readings(rule(), answers) == {
        ("ask",): Reading((0.5,), 30.0),
        (None,): Reading((None,), 0.0),
    }


def test_question_without_an_answer_has_no_readings() -> None:
    assert readings(rule(), {}) == {}


def test_rule_without_groups_is_always_read() -> None:
    alone = replace(rule(), condition=Threshold(Query("m", "sum", 60), Comparison.ABOVE, 1.0))

    assert readings(alone, {}) == {(): Reading((None,), 0.0)}
    assert labels_of(alone, ()) == {"alertname": "ErrorRate"}


def test_groups_that_the_filters_name_are_always_read() -> None:
    query = Query(
        "probe.up",
        "avg",
        60,
        group_by=("target", "environment"),
        filters=(("environment", ("production",)), ("target", ("redis", None))),
    )
    probes = replace(rule(), condition=Threshold(query, Comparison.BELOW, critical=1.0))

    found = readings(probes, {query: {("redis", "production"): (1.0, 6.0)}})

    assert found == {
        ("redis", "production"): Reading((1.0,), 6.0),
        (None, "production"): Reading((None,), 0.0),
    }


def test_groups_that_the_filters_name_by_the_thousand_are_not_sought() -> None:
    many = tuple(str(index) for index in range(40))
    query = Query("m", "sum", 60, group_by=("a", "b"), filters=(("a", many), ("b", many)))
    wide = replace(rule(), condition=Threshold(query, Comparison.ABOVE, 1.0))

    assert readings(wide, {}) == {}


def test_labels_are_the_rule_and_its_group() -> None:
    labelled = replace(rule(), labels={"team": "ask", "severity": "page", "alertname": "Other"})

    assert labels_of(labelled, ("ask\0",)) == {
        "alertname": "ErrorRate",
        "operation": "ask\N{REPLACEMENT CHARACTER}",
        "team": "ask",
    }
    assert labels_of(labelled, (None,)) == {"alertname": "ErrorRate", "team": "ask"}
