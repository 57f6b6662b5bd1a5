"""Prometheus' API for rules and alerts, as its own tools, Grafana and conformance tests read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import re2  # type: ignore[import-untyped]
from starlette.datastructures import QueryParams

from alerts_svc.domain.alert import Alert, State
from alerts_svc.domain.labels import ALERTNAME, Labels
from alerts_svc.domain.matcher import Matcher, MatcherError, matches_all, parse_list
from alerts_svc.domain.rule import BurnRate, Query, Rule, Threshold
from alerts_svc.wire.times import instant
from windsock_kit.errors import InvalidError

FILE = "windsock"
# The zero time of Go: never yet.
NEVER = "0001-01-01T00:00:00Z"
_RANK = {"inactive": 0, "pending": 1, "firing": 2}
_TYPES = ("alert", "record")
_WORDS = {"true": True, "1": True, "false": False, "0": False, "": False}


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rules are asked for; an empty tuple is any."""

    alerting: bool = True
    names: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    selectors: tuple[tuple[Matcher, ...], ...] = ()
    exclude_alerts: bool = False


def parse_asked(query: QueryParams) -> Asked:
    """Read the parameters of the list of rules."""
    kind = query.get("type", "")
    if kind and kind not in _TYPES:
        raise InvalidError(f"not supported value {kind!r}", path="type", allowed=_TYPES)
    exclude = query.get("exclude_alerts", "").lower()
    if exclude not in _WORDS:
        raise InvalidError("it must be true or false", path="exclude_alerts")
    try:
        selectors = tuple(parse_list(text) for text in query.getlist("match[]"))
    except MatcherError as error:
        raise InvalidError(str(error), path="match[]") from None
    return Asked(
        alerting=kind != "record",
        names=tuple(query.getlist("rule_name[]")),
        groups=tuple(query.getlist("rule_group[]")),
        files=tuple(query.getlist("file[]")),
        selectors=selectors,
        exclude_alerts=_WORDS[exclude],
    )


@dataclass(frozen=True, slots=True)
class Evaluated:
    """How often rules are evaluated, and the last time: when (Unix seconds) and how long it took."""

    interval: float
    at: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Active:
    """A pending or firing alert of a rule, with its severity as a label; ``since`` is of the wall clock."""

    alert: Alert
    labels: Labels
    annotations: Mapping[str, str]
    since: float
    clear_since: float | None = None

    @property
    def state(self) -> str:
        """Return Prometheus' word: what has an incident fires, whatever is known of it now."""
        return "firing" if self.alert.incident is not None else "pending"


def alert(active: Active) -> dict[str, Any]:
    """Render an alert."""
    made = {
        "labels": dict(active.labels),
        "annotations": dict(active.annotations),
        "state": active.state,
        "activeAt": instant(active.since),
        "value": number(active.alert.value),
    }
    if active.clear_since is not None:
        made["keepFiringSince"] = instant(active.clear_since)
    return made


def groups(
    rules: Iterable[Rule],
    active: Mapping[str, Sequence[Active]],
    asked: Asked,
    evaluated: Evaluated,
) -> list[dict[str, Any]]:
    """Render the rules that are asked for by their groups, with their alerts (``active``, by rule)."""
    found: dict[str, list[dict[str, Any]]] = {}
    for rule in sorted(rules, key=lambda each: (each.group, each.name)):
        if _is_asked(rule, asked):
            found.setdefault(rule.group, []).append(
                _rule(rule, active.get(rule.name, ()), evaluated, told=not asked.exclude_alerts)
            )
    return [
        {
            "name": name,
            "file": FILE,
            "interval": evaluated.interval,
            "limit": 0,
            "evaluationTime": evaluated.seconds,
            "lastEvaluation": _evaluated_at(evaluated),
            "rules": members,
        }
        for name, members in found.items()
    ]


def _is_asked(rule: Rule, asked: Asked) -> bool:
    return (
        asked.alerting
        and rule.enabled
        and (not asked.names or rule.name in asked.names)
        and (not asked.groups or rule.group in asked.groups)
        and (not asked.files or FILE in asked.files)
        and (not asked.selectors or any(matches_all(m, rule.labels) for m in asked.selectors))
    )


def _rule(
    rule: Rule, active: Sequence[Active], evaluated: Evaluated, *, told: bool
) -> dict[str, Any]:
    failed = next((each.alert.error for each in active if each.alert.state is State.ERROR), None)
    health = "err" if failed is not None else ("unknown" if evaluated.at is None else "ok")
    return {
        "state": max((each.state for each in active), key=_RANK.__getitem__, default="inactive"),
        "name": rule.name,
        "query": expression(rule),
        "duration": rule.for_seconds,
        "keepFiringFor": rule.keep_firing_seconds,
        "labels": {name: text for name, text in rule.labels.items() if name != ALERTNAME},
        "annotations": dict(rule.annotations),
        "alerts": [alert(each) for each in active] if told else [],
        "health": health,
        **({"lastError": failed} if failed else {}),
        "evaluationTime": evaluated.seconds,
        "lastEvaluation": _evaluated_at(evaluated),
        "type": "alerting",
    }


def expression(rule: Rule) -> str:
    """Say what a rule asks, in the manner of a query: there is no PromQL behind it."""
    condition = rule.condition
    if isinstance(condition, BurnRate):
        return _burn_rate(condition)
    return _threshold(condition)


def _threshold(condition: Threshold) -> str:
    text = _measure(condition.query)
    if condition.scale != 1:
        text += f" * {condition.scale:g}"
    levels = (("warning", condition.warning), ("critical", condition.critical))
    told = (
        f"{condition.comparison} {level:g} ({name})" for name, level in levels if level is not None
    )
    return f"{text} {', '.join(told)}"


def _measure(query: Query) -> str:
    chosen = _filters(query.filters)
    by = f" by ({', '.join(query.group_by)})" if query.group_by else ""
    inner = f"{query.measure}{chosen}[{query.window_seconds}s]"
    if query.denominator is None:
        return f"{query.aggregation}({inner}){by}"
    below = f"{query.denominator}{chosen}[{query.window_seconds}s]"
    return f"sum({inner}){by} / sum({below}){by}"


def _burn_rate(condition: BurnRate) -> str:
    chosen = _filters(condition.filters)
    by = f" by ({', '.join(condition.group_by)})" if condition.group_by else ""
    budget = float(1 - Decimal(repr(condition.objective)))

    def above(seconds: int, factor: float) -> str:
        ratio = f"sum({condition.errors}{chosen}[{seconds}s]){by} / sum({condition.total}{chosen}[{seconds}s]){by}"
        return f"{ratio} > {factor:g} * {budget:g}"

    pairs = (
        f"({above(w.long_seconds, w.factor)} and {above(w.short_seconds, w.factor)})"
        for w in condition.windows
    )
    return " or ".join(pairs)


def _filters(filters: Sequence[tuple[str, tuple[str | None, ...]]]) -> str:
    if not filters:
        return ""
    made = (
        Matcher(name, values[0] or "")
        if len(values) == 1
        else Matcher(name, "|".join(re2.escape(value or "") for value in values), is_regex=True)
        for name, values in filters
    )
    return "{" + ",".join(str(matcher) for matcher in made) + "}"


def number(value: float | None) -> str:
    """Spell a value as Go does with the format ``e``: the fewest digits that tell it."""
    if value is None:
        return "NaN"
    mantissa, _, exponent = f"{Decimal(repr(float(value))).normalize():e}".partition("e")
    return f"{mantissa}e{int(exponent or 0):+03d}"


def _evaluated_at(evaluated: Evaluated) -> Any:
    return NEVER if evaluated.at is None else instant(evaluated.at)
