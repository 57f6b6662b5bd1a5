from __future__ import annotations

from typing import Any

import orjson
import pytest

from alerts_svc.domain.rule import Comparison, Query, Threshold
from alerts_svc.domain.severity import Severity
from alerts_svc.wire.rules import UNITS, parse_rule, tell_rule
from windsock_kit.errors import BadRequestError, InvalidError

CONDITION = {
    "type": "threshold",
    "measure": "performance.errors",
    "aggregation": "ratio",
    "denominator": "performance.count",
    "window_seconds": 300,
    "group_by": ["operation"],
    "filters": {"environment": "production", "operation": ["a", "b", None]},
    "comparison": ">",
    "warning": 0.05,
    "critical": 0.1,
    "hysteresis": 0.01,
    "scale": 1.0,
}
RULE = {
    "name": "Errors",
    "group": "mine",
    "enabled": False,
    "condition": CONDITION,
    "min_samples": 20,
    "for_seconds": 30.0,
    "keep_firing_for_seconds": 60.0,
    "cooldown_seconds": 600.0,
    "no_data": {"after_seconds": 120.0, "severity": "warning"},
    "labels": {"team": "llm"},
    "annotations": {"summary": "too many errors"},
    "recommended_actions": ["look"],
    "unit": "percent",
    "version": 1,
    "origin": "user",
}
BURN = {
    "type": "burn_rate",
    "errors": "performance.errors",
    "total": "performance.count",
    "objective": 0.99,
    "windows": [
        {"long_seconds": 3600, "short_seconds": 300, "factor": 14.4, "severity": "critical"}
    ],
    "group_by": [],
    "filters": {},
}


def parse(**changed: Any) -> Any:
    return parse_rule(orjson.dumps(RULE | changed))


def refused(**changed: Any) -> InvalidError:
    with pytest.raises(InvalidError) as caught:
        parse(**changed)
    return caught.value


def test_rule_has_what_its_body_says() -> None:
    rule = parse()

    assert rule.condition == Threshold(
        Query(
            "performance.errors",
            "ratio",
            300,
            "performance.count",
            ("operation",),
            (("environment", ("production",)), ("operation", ("a", "b", None))),
        ),
        Comparison.ABOVE,
        warning=0.05,
        critical=0.1,
        hysteresis=0.01,
    )
    assert (rule.keep_firing_seconds, rule.no_data_seconds) == (60, 120)
    assert rule.no_data_severity is Severity.WARNING
    assert rule.actions == ("look",)


@pytest.mark.parametrize("condition", [CONDITION, BURN], ids=["threshold", "burn_rate"])
def test_what_is_told_reads_as_the_same_rule(condition: dict[str, Any]) -> None:
    given = RULE | {"condition": condition}

    told = tell_rule(parse_rule(orjson.dumps(given)))

    assert orjson.loads(orjson.dumps(told)) == given
    assert parse_rule(orjson.dumps(told)) == parse_rule(orjson.dumps(given))


def test_what_is_left_out_has_its_default() -> None:
    rule = parse_rule(
        orjson.dumps({"name": "A", "group": "g", "condition": CONDITION | {"critical": None}})
    )

    assert rule.enabled
    assert rule.cooldown_seconds == 900
    assert rule.no_data_seconds == 300
    assert rule.min_samples == 1


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"name": "a b"}, "name"),
        ({"name": "a\n"}, "name"),
        ({"name": "EvaluationImpaired"}, "name"),
        ({"group": ""}, "group"),
        ({"enabled": 1}, "enabled"),
        ({"min_samples": 0}, "min_samples"),
        ({"min_samples": 1.5}, "min_samples"),
        ({"for_seconds": -1}, "for_seconds"),
        ({"for_seconds": "1m"}, "for_seconds"),
        ({"no_data": {"after_seconds": 0}}, "no_data.after_seconds"),
        ({"labels": {"severity": "x"}}, "labels.severity"),
        ({"labels": {"alertname": "x"}}, "labels.alertname"),
        ({"labels": {"a": "x", "b": 5}}, "labels.b"),
        ({"annotations": {"summary": "a\0b"}}, "annotations.summary"),
        ({"recommended_actions": ["a", 5]}, "recommended_actions[1]"),
        ({"more": 1}, "more"),
        ({"condition": CONDITION | {"window_seconds": 65}}, "condition.window_seconds"),
        ({"condition": CONDITION | {"window_seconds": 0}}, "condition.window_seconds"),
        ({"condition": CONDITION | {"warning": None, "critical": None}}, "condition.warning"),
        ({"condition": CONDITION | {"warning": 0.2}}, "condition.critical"),
        ({"condition": CONDITION | {"comparison": "<"}}, "condition.critical"),
        ({"condition": CONDITION | {"denominator": None}}, "condition.denominator"),
        ({"condition": CONDITION | {"aggregation": "sum"}}, "condition.denominator"),
        ({"condition": CONDITION | {"scale": 0}}, "condition.scale"),
        ({"condition": CONDITION | {"hysteresis": -1}}, "condition.hysteresis"),
        ({"condition": CONDITION | {"group_by": ["a", "a"]}}, "condition.group_by[1]"),
        ({"condition": CONDITION | {"group_by": ["team"]}}, "condition.group_by[0]"),
        ({"condition": CONDITION | {"filters": {"a": "x", "b": []}}}, "condition.filters.b"),
        ({"condition": CONDITION | {"filters": {"a": 5}}}, "condition.filters.a"),
        ({"condition": CONDITION | {"more": 1}}, "condition.more"),
        ({"condition": BURN | {"objective": 1}}, "condition.objective"),
        ({"condition": BURN | {"windows": []}}, "condition.windows"),
        (
            {"condition": BURN | {"windows": [BURN["windows"][0] | {"factor": 200}]}},  # type: ignore[index]
            "condition.windows[0].factor",
        ),
        (
            {"condition": BURN | {"windows": [BURN["windows"][0] | {"short_seconds": 3600}]}},  # type: ignore[index]
            "condition.windows[0].short_seconds",
        ),
    ],
    ids=str,
)
def test_what_is_wrong_is_named_by_its_path(changed: dict[str, Any], path: str) -> None:
    assert refused(**changed).path == path


@pytest.mark.parametrize(
    ("changed", "allowed"),
    [
        ({"condition": CONDITION | {"comparison": "="}}, [">", ">=", "<", "<="]),
        ({"condition": CONDITION | {"type": "other"}}, ["threshold", "burn_rate"]),
        ({"no_data": {"severity": "page"}}, ["warning", "critical", "null"]),
        ({"no_data": {"after": 1}}, ["after_seconds", "severity"]),
        ({"unit": "seconds"}, list(UNITS)),
    ],
    ids=str,
)
def test_what_would_be_right_is_told(changed: dict[str, Any], allowed: list[str]) -> None:
    assert list(refused(**changed).allowed or ()) == allowed


@pytest.mark.parametrize("text", [b"", b"{", b"nothing", b'{"name": "\xff"}', b"[" * 100_000])
def test_what_is_no_json_cannot_be_read(text: bytes) -> None:
    with pytest.raises(BadRequestError):
        parse_rule(text)


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e999"])
def test_a_threshold_is_a_finite_number(number: bytes) -> None:
    body = orjson.dumps(RULE).replace(b"0.05", number)

    with pytest.raises((BadRequestError, InvalidError)):
        parse_rule(body)
