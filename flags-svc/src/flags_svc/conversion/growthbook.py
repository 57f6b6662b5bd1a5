"""GrowthBook's features, as its API and its SDK payload have them (https://docs.growthbook.io), as flags of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from flags_svc.conversion.growthbook_conditions import Conditions, attribute_named
from flags_svc.conversion.outcome import (
    DRAWN_ANEW,
    Bucketing,
    CannotCarryError,
    Clause,
    Converted,
    Document,
    condition,
    every,
    list_at,
    member,
    object_at,
    objects_at,
    type_of,
)
from flags_svc.domain.fields import check_plain
from flags_svc.domain.names import MAX_VARIANT
from windsock.flags.definition import EVERYBODY
from windsock_kit.errors import InvalidError

_WEIGHTS = 10_000
_HASHES = (None, 1, 2)
# Weights whose sum is further from 1 count for nothing: then all are alike.
_INEXACT = 0.01
# What decides who gets what, and has no equal.
_UNKNOWN = (
    "namespace",
    "filters",
    "range",
    "ranges",
    "parentConditions",
    "prerequisites",
    "bucketVersion",
    "fallbackAttribute",
)


def read(value: object, environment: str) -> Converted:
    """Return the features of a payload as they are in ``environment``; raises ``InvalidError`` if it is none.

    In the API's form, that is the environment of the same name there.
    """
    check_plain(value, "")
    given = object_at(value, "")
    if "features" not in given:
        raise InvalidError("features is missing: this is none of GrowthBook's", path="features")
    features = _features(given["features"], environment)
    if not features:
        raise InvalidError("must have at least one feature", path="features")
    groups = object_at(given.get("savedGroups") or {}, "savedGroups")
    converted = Converted()
    for key, path, feature in features:

        def convert(
            different: list[str], feature: Document = feature, path: str = path
        ) -> Document:
            return _Feature(feature, path, groups, different).document(environment)

        converted.take(key, path, convert)
    return converted


def _features(value: object, environment: str) -> list[tuple[str, str, Document]]:
    if isinstance(value, dict):
        return [
            (key, f"features.{key}", object_at(each, f"features.{key}"))
            for key, each in value.items()
        ]
    found = []
    for number, each in enumerate(list_at(value, "features")):
        path = f"features[{number}]"
        row = object_at(each, path)
        if not isinstance(row.get("id"), str):
            raise InvalidError("must be a text", path=f"{path}.id")
        there = object_at(row.get("environments") or {}, f"{path}.environments")
        here = object_at(there.get(environment) or {"enabled": False}, f"{path}.environments")
        found.append((row["id"], path, {**row, **here}))
    return found


class _Feature:
    """One feature on its way."""

    def __init__(
        self, given: Document, path: str, groups: Mapping[str, Any], different: list[str]
    ) -> None:
        self._given = given
        self._path = path
        self._different = different
        self._conditions = Conditions(groups, different)
        self._bucketing = Bucketing()
        self._names: dict[bytes, str] = {}
        self._values: dict[str, object] = {}

    def document(self, environment: str) -> Document:
        default = self._variant(member(self._given, "defaultValue", self._path), "")
        enabled = bool(self._given.get("enabled", True))
        if not enabled:
            self._different.append("while disabled it gives its default, and not the caller's own")
        rules, fallthrough = self._rules(default)
        self._check_units()
        return {
            "type": type_of([*self._values.values()], self._path),
            "variants": self._values,
            "default_variant": default,
            "off_variant": default,
            "owner": str(self._given.get("owner") or "")[:200],
            "description": str(self._given.get("description") or "")[:2_000],
            "tags": [
                str(each)[:100] for each in list_at(self._given.get("tags"), self._path) if each
            ],
            "archived": bool(self._given.get("archived")),
            "environments": {
                environment: {"enabled": enabled, "rules": rules, "fallthrough": fallthrough}
            },
            **self._bucketing.document(),
        }

    def _check_units(self) -> None:
        for name in _UNKNOWN:
            if self._given.get(name):
                raise CannotCarryError(f"{self._path}.{name}", "it has no equal")

    def _rules(self, default: str) -> tuple[list[Document], Document | None]:
        given = [
            each
            for each in objects_at(self._given.get("rules"), f"{self._path}.rules")
            if each.get("enabled", True)
        ]
        rules: list[Document] = []
        for number, each in enumerate(given):
            path = f"{self._path}.rules[{number}]"
            clauses = self._when(each, path)
            serve, is_part = self._serve(each, default, path)
            is_last = number + 1 == len(given)
            # Who is not in such a share goes on to the next rule there, but not here.
            if is_part and not is_last:
                raise CannotCarryError(path, "only the last rule can be for a share of users")
            # And so does who has nothing to be drawn by, even if the share is of all.
            if _is_drawn(each) and not (is_last and ("split" in serve or is_part)):
                clauses.append(condition(_unit_of(each), "exists"))
            if not clauses:
                return rules, serve
            rules.append({"when": every(clauses), "serve": serve})
        return rules, None

    def _when(self, rule: Document, path: str) -> list[Clause]:
        for name in _UNKNOWN:
            if rule.get(name):
                raise CannotCarryError(f"{path}.{name}", "it has no equal")
        if rule.get("hashVersion", 1) not in _HASHES:
            raise CannotCarryError(f"{path}.hashVersion", "there is no such hash")
        found = rule.get("condition") or {}
        if isinstance(found, str):
            try:
                found = orjson.loads(found)
            except orjson.JSONDecodeError:
                raise CannotCarryError(f"{path}.condition", "is no JSON") from None
        return self._conditions.clauses(found, f"{path}.condition")

    def _serve(self, rule: Document, default: str, path: str) -> tuple[Document, bool]:
        """Return what a rule gives, and whether only to a share of those whom it is for."""
        if "force" in rule or ("value" in rule and not rule.get("values")):
            serve = {"variant": self._variant(rule.get("force", rule.get("value")), path)}
        elif "variations" in rule or rule.get("values"):
            serve = self._split(rule, path)
        else:
            raise CannotCarryError(path, "it gives neither a value nor variations")
        coverage = rule.get("coverage", 1)
        if not isinstance(coverage, int | float) or not 0 <= coverage <= 1:
            raise CannotCarryError(f"{path}.coverage", "must lie from 0 to 1")
        if "split" in serve or coverage < 1:
            self._bucketing.take(_unit_of(rule), f"{path}.hashAttribute")
            self._different.append(DRAWN_ANEW)
        if coverage >= 1:
            return serve, False
        percentage = round(coverage * EVERYBODY) / (EVERYBODY // 100)
        return {"rollout": {"percentage": percentage, **serve, "otherwise": default}}, True

    def _split(self, rule: Document, path: str) -> Document:
        rows = objects_at(rule.get("values"), f"{path}.values")
        given = list_at(rule.get("variations"), f"{path}.variations")
        given = given or [each.get("value") for each in rows]
        if not given:
            raise CannotCarryError(path, "it has no variations")
        weights = list_at(rule.get("weights"), f"{path}.weights")
        weights = weights or [each["weight"] for each in rows if "weight" in each]
        weights = weights or [1 / len(given)] * len(given)
        if len(weights) != len(given) or not all(
            isinstance(each, int | float) and each >= 0 for each in weights
        ):
            raise CannotCarryError(f"{path}.weights", "must be a share for each variation")
        if abs(sum(weights) - 1) > _INEXACT:
            weights = [1 / len(given)] * len(given)
        shares: dict[str, int] = {}
        for value, weight in zip(given, weights, strict=True):
            # Several variations may have one value, and are one variant then.
            name = self._variant(value, path)
            shares[name] = shares.get(name, 0) + round(weight * _WEIGHTS)
        return {"variant": next(iter(shares))} if len(shares) == 1 else {"split": shares}

    def _variant(self, value: Any, path: str) -> str:
        """Return the variant of a value; GrowthBook's have no names."""
        value = self._typed(value)
        text = orjson.dumps(value)
        if text not in self._names:
            name = self._name(value)
            self._names[text] = name
            self._values[name] = value
        return self._names[text]

    def _typed(self, value: Any) -> Any:
        kind = str(self._given.get("valueType"))
        # The API tells all values as texts.
        if isinstance(value, str) and kind in {"boolean", "number", "json"}:
            try:
                return orjson.loads(value)
            except orjson.JSONDecodeError:
                raise CannotCarryError(self._path, f"{value!r:.50} is no {kind}") from None
        return value

    def _name(self, value: Any) -> str:
        if isinstance(value, bool):
            return "on" if value else "off"
        name = str(value) if isinstance(value, str | int | float) else ""
        if not 1 <= len(name) <= MAX_VARIANT or not name.isprintable() or name in self._values:
            return f"value-{len(self._values) + 1}"
        return name


def _is_drawn(rule: Document) -> bool:
    is_experiment = "force" not in rule and bool(rule.get("variations") or rule.get("values"))
    return is_experiment or "coverage" in rule


def _unit_of(rule: Document) -> str:
    """Return the attribute by which a rule draws users."""
    return attribute_named(str(rule.get("hashAttribute") or "id"))
