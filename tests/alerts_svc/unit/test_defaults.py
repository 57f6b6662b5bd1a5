from __future__ import annotations

import pytest

from alerts_svc.domain.configuration import Inhibition
from alerts_svc.domain.matcher import matches_all
from alerts_svc.domain.rule import BurnRate, Comparison, Query, Rule, Threshold
from alerts_svc.wire.defaults import default_configuration, default_rules
from metrics_svc.domain.measure import MEASURES

RULES = {rule.name: rule for rule in default_rules()}
ABOVE, BELOW = Comparison.ABOVE, Comparison.BELOW
each_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


def condition(name: str) -> Threshold:
    found = RULES[name].condition
    assert isinstance(found, Threshold)
    return found


@pytest.mark.parametrize(
    ("name", "comparison", "warning", "critical"),
    [
        ("HighLatencyP95", ABOVE, 3000, None),
        ("HighLatencyP99", ABOVE, None, 5000),
        ("HighErrorRate", ABOVE, 0.05, 0.10),
        ("HighHourlyCost", ABOVE, 0.50, 1.00),
        ("LowCacheHitRate", BELOW, 0.60, None),
        ("HighProjectedDailyCost", ABOVE, 20, None),
        ("LowQualityScore", BELOW, 6.0, 5.0),
        ("HighRefinementRate", ABOVE, 0.50, None),
        ("LowFirstPassAcceptance", BELOW, 0.60, None),
        ("RedisDown", BELOW, None, 0.5),
        ("QdrantDown", BELOW, None, 0.5),
        ("HighLLMErrorRate", ABOVE, None, 0.10),
    ],
)
def test_rules_have_their_thresholds(
    name: str, comparison: Comparison, warning: float | None, critical: float | None
) -> None:
    found = condition(name)

    assert (found.comparison, found.warning, found.critical) == (comparison, warning, critical)
    assert RULES[name].enabled


def test_nothing_else_is_on() -> None:
    assert [rule.name for rule in RULES.values() if not rule.enabled] == ["ErrorBudgetBurn"]
    assert isinstance(RULES["ErrorBudgetBurn"].condition, BurnRate)
    assert len(RULES) == 13


@each_rule
def test_every_rule_says_what_it_means_and_what_to_do(rule: Rule) -> None:
    assert rule.labels["signal"]
    assert rule.labels["category"] in {"performance", "cost", "quality", "health"}
    assert {"summary", "impact"} <= rule.annotations.keys()
    assert len(rule.actions) >= 2


def queries(rule: Rule) -> list[Query]:
    found = rule.condition
    if isinstance(found, Threshold):
        return [found.query]
    return [
        Query(found.errors, "ratio", window.long_seconds, found.total, found.group_by)
        for window in found.windows
    ]


@each_rule
def test_every_rule_asks_what_metrics_svc_can_answer(rule: Rule) -> None:
    for query in queries(rule):
        measure = MEASURES[query.measure]
        dimensions = measure.kind.dimensions
        assert query.aggregation == "ratio" or measure.allows(query.aggregation)
        assert query.denominator is None or MEASURES[query.denominator].kind is measure.kind
        assert {*query.group_by, *dict(query.filters)} <= set(dimensions)


@each_rule
def test_no_rule_speaks_of_few_events(rule: Rule) -> None:
    assert rule.min_samples >= (2 if rule.group == "health" else 10)


def inhibition(name: str) -> Inhibition:
    return next(each for each in default_configuration().inhibitions if each.name == name)


def test_critical_mutes_the_warning_of_the_same_signal_alone() -> None:
    found = inhibition("critical-mutes-its-warning")

    assert found.equal == ("signal", "operation", "environment")
    assert matches_all(found.source, {"severity": "critical", "signal": "latency"})
    assert matches_all(found.target, {"severity": "warning", "signal": "latency"})
    # Two alerts from elsewhere have no signal, and so the same one.
    assert not matches_all(found.source, {"severity": "critical"})


@pytest.mark.parametrize(
    ("name", "down", "follows"),
    [
        ("redis-down-mutes-what-follows", "RedisDown", "LowCacheHitRate"),
        ("redis-down-mutes-what-follows", "RedisDown", "HighLatencyP95"),
        ("qdrant-down-mutes-what-follows", "QdrantDown", "LowQualityScore"),
        ("llm-errors-mute-what-follows", "HighLLMErrorRate", "HighErrorRate"),
        ("cost-mutes-projection", "HighHourlyCost", "HighProjectedDailyCost"),
    ],
)
def test_what_is_down_mutes_the_warnings_that_follow(name: str, down: str, follows: str) -> None:
    found = inhibition(name)

    def labelled(rule: str, severity: str) -> dict[str, str]:
        return {"alertname": rule, "severity": severity, **RULES[rule].labels}

    assert matches_all(found.source, labelled(down, "critical"))
    assert matches_all(found.target, labelled(follows, "warning"))
    assert not matches_all(found.target, labelled(follows, "critical"))


def test_alerts_go_everywhere_until_somebody_says_otherwise() -> None:
    found = default_configuration()

    assert (found.routes, found.mute_windows, found.fallback) == ((), (), None)
    assert (found.group_by, found.group_interval_seconds) == (("alertname",), 15)
