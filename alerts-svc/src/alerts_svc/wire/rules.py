"""Rules as they travel: JSON ⇄ ``Rule``. What JSON's types cannot say is checked here too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from alerts_svc.domain import builtin
from alerts_svc.domain.labels import ALERTNAME, SEVERITY
from alerts_svc.domain.rule import (
    BurnRate,
    BurnWindow,
    Comparison,
    Condition,
    Query,
    Rule,
    Threshold,
)
from alerts_svc.domain.severity import Severity
from alerts_svc.wire.decoding import Annotations, Identifier, Labels, Short, Text, decode
from windsock_kit.errors import InvalidError

Answer = dict[str, Any]

STEP_SECONDS = 10
MAX_WINDOW_SECONDS = 2_678_400
MAX_SECONDS = 2_678_400.0
MAX_RULES = 1_000
RATIO = "ratio"
UNITS = ("ms", "percent", "usd", "score", "x", "s", "")


_Window = Annotated[int, Meta(ge=STEP_SECONDS, le=MAX_WINDOW_SECONDS, multiple_of=STEP_SECONDS)]
_Seconds = Annotated[float, Meta(ge=0, le=MAX_SECONDS)]
_Value = Short | None
_GroupBy = Annotated[list[Short], Meta(max_length=5)]
_Filters = Annotated[
    dict[Short, _Value | Annotated[list[_Value], Meta(min_length=1, max_length=200)]],
    Meta(max_length=10),
]


class Origin(StrEnum):
    """Where a rule is from; a default that somebody changed is a user's."""

    DEFAULT = "default"
    USER = "user"
    BUILTIN = "builtin"


class ThresholdBody(
    msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="threshold", kw_only=True
):
    """A value against one or two thresholds."""

    measure: Short
    aggregation: Short
    denominator: Short | None = None
    window_seconds: _Window
    group_by: _GroupBy = []
    filters: _Filters = {}
    comparison: Comparison
    warning: float | None = None
    critical: float | None = None
    hysteresis: Annotated[float, Meta(ge=0)] = 0.0
    scale: Annotated[float, Meta(gt=0)] = 1.0


class BurnWindowBody(msgspec.Struct, forbid_unknown_fields=True):
    """A pair of windows of a burn rate."""

    long_seconds: _Window
    short_seconds: _Window
    factor: Annotated[float, Meta(gt=0)]
    severity: Severity


class BurnRateBody(
    msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="burn_rate", kw_only=True
):
    """How fast an error budget is spent."""

    errors: Short
    total: Short
    objective: Annotated[float, Meta(gt=0, lt=1)]
    windows: Annotated[list[BurnWindowBody], Meta(min_length=1, max_length=8)]
    group_by: _GroupBy = []
    filters: _Filters = {}


class NoDataBody(msgspec.Struct, forbid_unknown_fields=True):
    """What happens when nothing is known for a while."""

    after_seconds: Annotated[float, Meta(ge=10, le=MAX_SECONDS)] = 300.0
    severity: Severity | None = None


class RuleBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A rule; ``version``, ``origin`` and ``notes`` are left aside: they are there so that an answer can be sent back."""

    name: Identifier
    group: Identifier
    enabled: bool = True
    condition: ThresholdBody | BurnRateBody
    min_samples: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 1
    for_seconds: _Seconds = 0.0
    keep_firing_for_seconds: _Seconds = 0.0
    cooldown_seconds: _Seconds = 900.0
    no_data: NoDataBody = msgspec.field(default_factory=NoDataBody)
    labels: Labels = {}
    annotations: Annotations = {}
    recommended_actions: Annotated[list[Text], Meta(max_length=20)] = []
    unit: str = ""
    version: int | None = None
    origin: Origin | None = None
    notes: list[str] = []


_decoder = msgspec.json.Decoder(RuleBody)


def parse_rule(body: bytes) -> Rule:
    """Decode a rule; raises ``InvalidError`` with the path of what is wrong."""
    return rule_of(decode(_decoder, body))


def rule_of(given: RuleBody) -> Rule:
    """Return the rule that a body describes, its parts checked against each other."""
    if given.name in builtin.NAMES:
        raise InvalidError(f"{given.name} is the name of a built-in alert", path="name")
    if given.unit not in UNITS:
        raise InvalidError(f"unknown unit {given.unit[:50]!r}", path="unit", allowed=UNITS)
    _check_labels(given)
    return Rule(
        name=given.name,
        group=given.group,
        condition=_condition(given.condition),
        min_samples=given.min_samples,
        for_seconds=given.for_seconds,
        keep_firing_seconds=given.keep_firing_for_seconds,
        cooldown_seconds=given.cooldown_seconds,
        no_data_seconds=given.no_data.after_seconds,
        no_data_severity=given.no_data.severity,
        labels=given.labels,
        annotations=given.annotations,
        actions=tuple(given.recommended_actions),
        unit=given.unit,
        enabled=given.enabled,
    )


def _check_labels(given: RuleBody) -> None:
    for name in (ALERTNAME, SEVERITY):
        if name in given.labels:
            raise InvalidError(f"the label {name} is set by the service", path=f"labels.{name}")
    for index, name in enumerate(given.condition.group_by):
        if name in given.labels:
            raise InvalidError(
                f"{name} is a label of the rule, so it cannot be grouped by too",
                path=f"condition.group_by[{index}]",
            )


def _condition(given: ThresholdBody | BurnRateBody) -> Condition:
    group_by = _group_by(given.group_by)
    filters = _filters(given)
    if isinstance(given, BurnRateBody):
        return _burn_rate(given, group_by, filters)
    _check_ratio(given)
    _check_levels(given)
    query = Query(
        measure=given.measure,
        aggregation=given.aggregation,
        window_seconds=given.window_seconds,
        denominator=given.denominator,
        group_by=group_by,
        filters=filters,
    )
    return Threshold(
        query=query,
        comparison=given.comparison,
        warning=given.warning,
        critical=given.critical,
        hysteresis=given.hysteresis,
        scale=given.scale,
    )


def _group_by(names: Sequence[str]) -> tuple[str, ...]:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise InvalidError(f"{name} is given twice", path=f"condition.group_by[{index}]")
    return tuple(names)


def _filters(
    given: ThresholdBody | BurnRateBody,
) -> tuple[tuple[str, tuple[str | None, ...]], ...]:
    pairs = (
        (name, tuple(dict.fromkeys(value if isinstance(value, list) else [value])))
        for name, value in given.filters.items()
    )
    return tuple(sorted(pairs, key=lambda pair: pair[0]))


def _check_ratio(given: ThresholdBody) -> None:
    if given.aggregation == RATIO and given.denominator is None:
        raise InvalidError("a ratio needs a denominator", path="condition.denominator")
    if given.aggregation != RATIO and given.denominator is not None:
        raise InvalidError("only a ratio has a denominator", path="condition.denominator")


def _check_levels(given: ThresholdBody) -> None:
    if given.warning is None and given.critical is None:
        raise InvalidError("give a threshold: warning, critical or both", path="condition.warning")
    for name in ("warning", "critical", "hysteresis", "scale"):
        value = getattr(given, name)
        if value is not None and not math.isfinite(value):
            raise InvalidError("it must be a finite number", path=f"condition.{name}")
    if given.warning is None or given.critical is None:
        return
    above = given.comparison in {Comparison.ABOVE, Comparison.AT_LEAST}
    if (given.critical < given.warning) if above else (given.critical > given.warning):
        word = "below" if above else "above"
        raise InvalidError(
            f"with {given.comparison} critical must not lie {word} warning",
            path="condition.critical",
        )


def _burn_rate(
    given: BurnRateBody,
    group_by: tuple[str, ...],
    filters: tuple[tuple[str, tuple[str | None, ...]], ...],
) -> BurnRate:
    for index, window in enumerate(given.windows):
        if window.short_seconds >= window.long_seconds:
            raise InvalidError(
                "it must be shorter than long_seconds",
                path=f"condition.windows[{index}].short_seconds",
            )
        if window.factor * (1 - given.objective) > 1:
            raise InvalidError(
                "with this objective no share of errors burns so fast",
                path=f"condition.windows[{index}].factor",
                allowed=[f"at most {1 / (1 - given.objective):g}"],
            )
    windows = tuple(
        BurnWindow(w.long_seconds, w.short_seconds, w.factor, w.severity) for w in given.windows
    )
    return BurnRate(
        errors=given.errors,
        total=given.total,
        objective=given.objective,
        windows=windows,
        group_by=group_by,
        filters=filters,
    )


def tell_rule(rule: Rule, origin: str = "user") -> Answer:
    """Return a rule as it is told, with every field."""
    return {
        "name": rule.name,
        "group": rule.group,
        "enabled": rule.enabled,
        "condition": _tell_condition(rule.condition),
        "min_samples": rule.min_samples,
        "for_seconds": rule.for_seconds,
        "keep_firing_for_seconds": rule.keep_firing_seconds,
        "cooldown_seconds": rule.cooldown_seconds,
        "no_data": {"after_seconds": rule.no_data_seconds, "severity": rule.no_data_severity},
        "labels": dict(rule.labels),
        "annotations": dict(rule.annotations),
        "recommended_actions": list(rule.actions),
        "unit": rule.unit,
        "version": rule.version,
        "origin": origin,
    }


def _tell_condition(condition: Condition) -> Answer:
    if isinstance(condition, BurnRate):
        return {
            "type": "burn_rate",
            "errors": condition.errors,
            "total": condition.total,
            "objective": condition.objective,
            "windows": [msgspec.to_builtins(window) for window in condition.windows],
            "group_by": list(condition.group_by),
            "filters": _tell_filters(condition.filters),
        }
    query = condition.query
    return {
        "type": "threshold",
        "measure": query.measure,
        "aggregation": query.aggregation,
        "denominator": query.denominator,
        "window_seconds": query.window_seconds,
        "group_by": list(query.group_by),
        "filters": _tell_filters(query.filters),
        "comparison": condition.comparison.value,
        "warning": condition.warning,
        "critical": condition.critical,
        "hysteresis": condition.hysteresis,
        "scale": condition.scale,
    }


def _tell_filters(filters: Sequence[tuple[str, tuple[str | None, ...]]]) -> Answer:
    return {name: values[0] if len(values) == 1 else list(values) for name, values in filters}
