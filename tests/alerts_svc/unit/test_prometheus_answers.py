"""Rules and alerts as Prometheus tells them."""

from __future__ import annotations

import pytest
from starlette.datastructures import QueryParams

from alerts_svc.domain.alert import Alert, Incident, State
from alerts_svc.domain.rule import (
    BurnRate,
    BurnWindow,
    Comparison,
    Query,
    Rule,
    Threshold,
)
from alerts_svc.domain.severity import Severity
from alerts_svc.wire import prometheus
from alerts_svc.wire.prometheus import Active, Asked, Evaluated
from windsock_kit.errors import InvalidError

NOW = 1_800_000_000.0
SLOW = Rule(
    "Slow",
    "performance",
    Threshold(
        Query("performance.duration_ms", "p95", 300, group_by=("operation",)),
        Comparison.ABOVE,
        warning=3_000.0,
    ),
    for_seconds=60.0,
    labels={"team": "core"},
)
FAILING = Rule(
    "Failing",
    "performance",
    Threshold(
        Query(
            "performance.errors",
            "ratio",
            300,
            "performance.count",
            filters=(("environment", ("a.b", None)), ("operation", ("chat",))),
        ),
        Comparison.AT_LEAST,
        warning=5.0,
        critical=10.0,
        scale=100.0,
    ),
)
BURNING = Rule(
    "Burning",
    "slo",
    BurnRate(
        "performance.errors",
        "performance.count",
        0.999,
        (BurnWindow(3_600, 300, 14.4, Severity.CRITICAL),),
    ),
)
RULES = [SLOW, FAILING, BURNING]
FIRES = Active(
    Alert(
        "f",
        {"alertname": "Slow"},
        "Slow",
        state=State.NO_DATA,
        value=4_100.5,
        incident=Incident("i", NOW, 1, Severity.WARNING),
    ),
    {"alertname": "Slow", "severity": "warning"},
    {"summary": "It is slow"},
    NOW,
)
PENDS = Active(Alert("p", {"alertname": "Slow"}, "Slow", state=State.PENDING), {}, {}, NOW, NOW + 5)


def names(asked: Asked) -> list[str]:
    groups = prometheus.groups(RULES, {}, asked, Evaluated(5.0))
    return [rule["name"] for group in groups for rule in group["rules"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["Failing", "Slow", "Burning"]),
        ("type=alert", ["Failing", "Slow", "Burning"]),
        ("type=record", []),
        ("rule_name[]=Slow&rule_name[]=Burning", ["Slow", "Burning"]),
        ("rule_group[]=slo", ["Burning"]),
        ("rule_group[]=slo&rule_name[]=Slow", []),
        ("file[]=windsock", ["Failing", "Slow", "Burning"]),
        ("file[]=other", []),
        ('match[]={team="core"}', ["Slow"]),
    ],
)
def test_rules_are_filtered_as_prometheus_does(query: str, expected: list[str]) -> None:
    assert names(prometheus.parse_asked(QueryParams(query))) == expected


@pytest.mark.parametrize(
    ("query", "path"),
    [("type=other", "type"), ("exclude_alerts=maybe", "exclude_alerts"), ("match[]={{", "match[]")],
)
def test_bad_parameter_is_told_by_name(query: str, path: str) -> None:
    with pytest.raises(InvalidError) as caught:
        prometheus.parse_asked(QueryParams(query))

    assert caught.value.path == path


def test_rule_is_in_the_state_of_its_worst_alert() -> None:
    (group,) = prometheus.groups([SLOW], {"Slow": [PENDS, FIRES]}, Asked(), Evaluated(5.0, NOW))
    (rule,) = group["rules"]

    assert (group["name"], group["interval"]) == ("performance", 5.0)
    assert (rule["state"], rule["health"], rule["duration"]) == ("firing", "ok", 60.0)
    assert [alert["state"] for alert in rule["alerts"]] == ["pending", "firing"]
    assert [alert["value"] for alert in rule["alerts"]] == ["NaN", "4.1005e+03"]
    assert "keepFiringSince" in rule["alerts"][0]
    assert rule["alerts"][1]["labels"] == {"alertname": "Slow", "severity": "warning"}
    assert rule["alerts"][1]["annotations"] == {"summary": "It is slow"}


def test_rule_that_cannot_be_evaluated_says_so() -> None:
    failed = Active(
        Alert("e", {}, "Slow", state=State.ERROR, error="metrics-svc is away"), {}, {}, NOW
    )

    (group,) = prometheus.groups([SLOW], {"Slow": [failed]}, Asked(), Evaluated(5.0))

    assert group["rules"][0]["health"] == "err"
    assert group["rules"][0]["lastError"] == "metrics-svc is away"
    assert group["lastEvaluation"] == prometheus.NEVER


def test_alerts_can_be_left_out() -> None:
    asked = Asked(exclude_alerts=True)

    (group,) = prometheus.groups([SLOW], {"Slow": [FIRES]}, asked, Evaluated(5.0))

    assert group["rules"][0]["alerts"] == []
    assert group["rules"][0]["state"] == "firing"


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (SLOW, "p95(performance.duration_ms[300s]) by (operation) > 3000 (warning)"),
        (
            FAILING,
            (
                'sum(performance.errors{environment=~"a\\.b|",operation="chat"}[300s])'
                ' / sum(performance.count{environment=~"a\\.b|",operation="chat"}[300s]) * 100'
                " >= 5 (warning), >= 10 (critical)"
            ),
        ),
        (
            BURNING,
            (
                "(sum(performance.errors[3600s]) / sum(performance.count[3600s]) > 14.4 * 0.001"
                " and sum(performance.errors[300s]) / sum(performance.count[300s]) > 14.4 * 0.001)"
            ),
        ),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_condition_reads_like_a_query(rule: Rule, text: str) -> None:
    assert prometheus.expression(rule).replace("\\\\", "\\") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0e+00"),
        (1.0, "1e+00"),
        (1500.0, "1.5e+03"),
        (0.07, "7e-02"),
        (1e308, "1e+308"),
        (-2.5e-9, "-2.5e-09"),
        (None, "NaN"),
    ],
)
def test_number_is_spelled_as_go_does(value: float | None, text: str) -> None:
    assert prometheus.number(value) == text
