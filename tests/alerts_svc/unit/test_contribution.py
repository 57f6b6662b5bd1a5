"""Who has the greatest share in what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from alerts_svc.domain.contribution import Contribution, contributions, shares
from alerts_svc.domain.reading import Answer
from alerts_svc.domain.rule import BurnRate, Comparison, Query, Rule, Threshold
from alerts_svc.wire.defaults import default_rules

DEFAULTS = {rule.name: rule for rule in default_rules()}
PRODUCTION = (("environment", ("production",)), ("error_type", ("timeout",)))


def rule(measure: str, aggregation: str, comparison: Comparison, **more: Any) -> Rule:
    query = Query(measure, aggregation, 60, filters=PRODUCTION, **more)
    return Rule("R", "g", Threshold(query, comparison, warning=6.0, critical=5.0, scale=2.0))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("HighLatencyP95", ["model llm_call.duration_ms", "gap priority performance.duration_ms"]),
        ("HighErrorRate", ["model llm_call.errors", "gap priority performance.errors"]),
        ("ErrorBudgetBurn", ["model llm_call.errors", "gap priority performance.errors"]),
        ("HighHourlyCost", ["model llm_call.cost_usd"]),
        ("LowCacheHitRate", ["model llm_call.cache_hits"]),
        ("LowQualityScore", ["gap priority quality.score"]),
        ("HighRefinementRate", ["gap priority quality.refined"]),
        ("LowFirstPassAcceptance", ["gap priority quality.accepted_first_pass"]),
        ("RedisDown", []),
        ("HighLLMErrorRate", ["model llm_call.errors"]),
    ],
)
def test_each_default_rule_is_told_with_shares_in_what_it_measures(
    name: str, wanted: list[str]
) -> None:
    found = contributions(DEFAULTS[name], 300)

    assert [f"{each.word} {each.part.measure}" for each in found] == wanted


def test_alerts_from_elsewhere_have_no_shares() -> None:
    assert contributions(None, 300) == ()


def test_a_fall_of_traffic_has_no_shares() -> None:
    assert contributions(rule("cache.count", "sum", Comparison.BELOW), 60) == ()


def test_filters_of_a_rule_hold_for_its_own_measure_and_places_for_model_calls() -> None:
    calls, own = contributions(rule("performance.errors", "sum", Comparison.ABOVE), 60)

    assert calls.part.filters == PRODUCTION[:1]
    assert own.part.filters == PRODUCTION


def test_filters_of_a_burn_rate_hold_too() -> None:
    burning = Rule("R", "g", BurnRate("cache.hits", "cache.count", 0.9, (), (), PRODUCTION))

    assert contributions(burning, 60)[0].part.filters == PRODUCTION


def test_shares_in_what_there_is_too_much_of() -> None:
    asked = Contribution("model", Query("llm_call.cost_usd", "sum", 60))
    part: Answer = {
        ("a", "p", "big"): (3.0, 5.0),
        ("b", "p", "big"): (3.0, 5.0),
        ("a", "p", "small"): (2.0, 90.0),
        ("a", "p", None): (9.0, 1.0),
        ("a", "p", "idle"): (None, 0.0),
        ("a", "p", "free"): (0.0, 7.0),
    }

    assert shares(asked, part, {}) == [("big", 0.75), ("small", 0.25)]


def test_shares_in_what_is_missing_of_a_ratio() -> None:
    query = Query("llm_call.cache_hits", "sum", 60)
    asked = Contribution("model", query, Query("llm_call.count", "sum", 60))
    part: Answer = {("a", "p", "big"): (10.0, 40.0)}
    whole: Answer = {("a", "p", "big"): (40.0, 40.0), ("a", "p", "small"): (10.0, 10.0)}

    assert shares(asked, part, whole) == [("big", 0.75), ("small", 0.25)]


def test_shares_in_how_far_averages_lie_below_their_threshold() -> None:
    (asked,) = contributions(rule("quality.score", "avg", Comparison.BELOW), 60)
    part: Answer = {
        ("a", "p", "HIGH"): (1.0, 30.0),
        ("a", "p", "LOW"): (2.0, 20.0),
        ("a", "p", "MEDIUM"): (9.0, 99.0),
    }

    assert asked.threshold == 3.0
    assert shares(asked, part, {}) == [("HIGH", 0.75), ("LOW", 0.25)]
