"""Unleash's strategies and constraints: who gets a feature."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flags_svc.conversion.outcome import (
    VERSIONS,
    Bucketing,
    CannotCarryError,
    Clause,
    Document,
    condition,
    list_at,
    object_at,
    objects_at,
)
from windsock.flags.definition import EVERYBODY

_ONE_VALUE = {
    "NUM_EQ": "equals",
    "NUM_GT": "greater_than",
    "NUM_GTE": "greater_or_equal",
    "NUM_LT": "less_than",
    "NUM_LTE": "less_or_equal",
    "DATE_BEFORE": "before",
    "DATE_AFTER": "after",
    "SEMVER_EQ": "semver_equals",
    "SEMVER_GT": "semver_greater_than",
    "SEMVER_GTE": "semver_greater_or_equal",
    "SEMVER_LT": "semver_less_than",
    "SEMVER_LTE": "semver_less_or_equal",
    "REGEX": "matches",
}
_MANY_VALUES = {
    "IN": "in",
    "STR_CONTAINS": "contains",
    "STR_STARTS_WITH": "starts_with",
    "STR_ENDS_WITH": "ends_with",
    "IN_CIDR": "in_cidr",
}
_TARGETING_KEY = "targetingKey"
_ATTRIBUTES = {"userId": _TARGETING_KEY}
_PER_PERCENT = EVERYBODY // 100
# By these everybody can be drawn.
_WHOEVER = {"default", "random"}
_DIFFERENT = {
    "NUM_": "numbers are compared with numbers only: a number in a text is none",
    "SEMVER_": VERSIONS,
}


@dataclass(frozen=True, slots=True)
class Strategy:
    """Who gets a feature: for whom all of ``clauses`` hold, and of these a share; ``variants`` are its own ones."""

    clauses: tuple[Clause, ...]
    share: int = EVERYBODY
    variants: tuple[Document, ...] = field(default_factory=tuple)
    stickiness: str = "default"

    @property
    def when(self) -> Clause:
        """Return all conditions as one."""
        return self.clauses[0] if len(self.clauses) == 1 else {"all": [*self.clauses]}


def strategy_of(
    value: object,
    path: str,
    segments: Mapping[int, str],
    bucketing: Bucketing,
    different: list[str],
) -> Strategy:
    """Return a strategy, and in ``different`` what it does otherwise; raises ``CannotCarryError``."""
    given = object_at(value, path)
    name = str(given.get("name"))
    parameters = object_at(given.get("parameters") or {}, f"{path}.parameters")
    clauses = [
        constraint_of(each, f"{path}.constraints[{number}]", different)
        for number, each in enumerate(list_at(given.get("constraints"), f"{path}.constraints"))
    ]
    for identity in list_at(given.get("segments"), f"{path}.segments"):
        if not isinstance(identity, int) or identity not in segments:
            raise CannotCarryError(f"{path}.segments", f"there is no segment {identity}")
        clauses.append({"segment": segments[identity]})
    share, stickiness = EVERYBODY, "default"
    if name in _ROLLOUTS:
        parameter, unit = _ROLLOUTS[name]
        share = _share_of(parameters.get(parameter), f"{path}.parameters.{parameter}")
        stickiness = unit or str(parameters.get("stickiness") or "default")
        if 0 < share < EVERYBODY:
            bucketing.take(unit_of(stickiness, path), path)
        elif stickiness not in _WHOEVER:
            # Even a share of all is only of those who have something to be drawn by.
            clauses.append(condition(unit_of(stickiness, path), "exists"))
    elif name in _LISTS:
        parameter, read = _LISTS[name]
        texts = [each.strip() for each in str(parameters.get(parameter) or "").split(",")]
        clauses.append(read([each for each in texts if each]))
    elif name != "default":
        raise CannotCarryError(f"{path}.name", f"the strategy {name!r:.50} has no equal")
    variants = tuple(objects_at(given.get("variants"), f"{path}.variants"))
    return Strategy(tuple(clauses), share, variants, stickiness)


def unit_of(stickiness: str, path: str) -> str:
    """Return the attribute by which users are drawn."""
    if stickiness == "random":
        raise CannotCarryError(path, "users are never drawn at random, but each always alike")
    return _TARGETING_KEY if stickiness == "default" else _ATTRIBUTES.get(stickiness, stickiness)


def _share_of(value: object, path: str) -> int:
    try:
        percentage = float(str(value))
    except ValueError:
        percentage = -1.0
    if not 0 <= percentage <= 100:
        raise CannotCarryError(path, f"{value!r:.50} is no percentage")
    return round(percentage * _PER_PERCENT)


def _users(texts: list[str]) -> Clause:
    return condition(_TARGETING_KEY, "in", *texts)


def _addresses(texts: list[str]) -> Clause:
    return condition("remoteAddress", "in_cidr", *texts)


_ROLLOUTS: Mapping[str, tuple[str, str | None]] = {
    "flexibleRollout": ("rollout", None),
    "gradualRolloutUserId": ("percentage", "userId"),
    "gradualRolloutSessionId": ("percentage", "sessionId"),
    "gradualRolloutRandom": ("percentage", "random"),
}
_LISTS: Mapping[str, tuple[str, Callable[[list[str]], Clause]]] = {
    "userWithId": ("userIds", _users),
    "remoteAddress": ("IPs", _addresses),
}


def constraint_of(value: object, path: str, different: list[str]) -> Clause:
    """Return a constraint as a condition; raises ``CannotCarryError``."""
    given = object_at(value, path)
    operator, name = str(given.get("operator")), given.get("contextName")
    if not isinstance(name, str) or not name:
        raise CannotCarryError(f"{path}.contextName", "is missing")
    if name == "currentTime":
        raise CannotCarryError(
            f"{path}.contextName", "what begins or ends at a time is a schedule here"
        )
    negate = bool(given.get("inverted")) != (operator == "NOT_IN")
    attribute = _ATTRIBUTES.get(name, name)
    if operator in _ONE_VALUE:
        values = [_value(operator, given.get("value"), f"{path}.value")]
        found = _ONE_VALUE[operator]
    elif operator in _MANY_VALUES or operator == "NOT_IN":
        values = [str(each) for each in list_at(given.get("values"), f"{path}.values")]
        found = _MANY_VALUES.get(operator, "in")
    else:
        raise CannotCarryError(f"{path}.operator", f"the operator {operator!r:.50} has no equal")
    different += [each for start, each in _DIFFERENT.items() if operator.startswith(start)]
    has_case = operator in {"IN", "NOT_IN"} or operator.startswith(("STR_", "REGEX"))
    ignore_case = has_case and bool(given.get("caseInsensitive"))
    return condition(attribute, found, *values, negate=negate, ignore_case=ignore_case)


def _value(operator: str, value: object, path: str) -> object:
    if not operator.startswith("NUM_"):
        return value
    try:
        number = float(str(value))
    except ValueError:
        raise CannotCarryError(path, f"{value!r:.50} is no number") from None
    return int(number) if number.is_integer() else number
