"""flagd's flag definitions (https://flagd.dev/reference/flag-definitions) as flags of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flags_svc.conversion.json_logic import (
    ALWAYS,
    Conditions,
    attribute_of,
    is_attribute,
    operation,
)
from flags_svc.conversion.outcome import (
    DRAWN_ANEW,
    Bucketing,
    CannotCarryError,
    Clause,
    Converted,
    Document,
    every,
    member,
    object_at,
    type_of,
)
from flags_svc.domain.fields import check_plain
from windsock_kit.errors import InvalidError

_KNOWN = {"state", "variants", "defaultVariant", "targeting", "metadata"}
_FLAG_KEY = {"var": "$flagd.flagKey"}
_MAX_DEPTH = 25


def read(value: object, environment: str) -> Converted:
    """Return the flags of a definition file as they are in ``environment``; raises ``InvalidError`` if it is none."""
    check_plain(value, "")
    given = object_at(value, "")
    if "flags" not in given:
        raise InvalidError("flags is missing: this is no definition of flagd's", path="flags")
    named = object_at(given.get("$evaluators", {}), "$evaluators")
    converted = Converted()
    for key, each in object_at(given["flags"], "flags").items():
        path = f"flags.{key}"

        def convert(different: list[str], each: object = each, path: str = path) -> Document:
            return _Flag(object_at(each, path), path, named, different).document(environment)

        converted.take(key, path, convert)
    return converted


class _Flag:
    """One flag on its way."""

    def __init__(
        self, given: Mapping[str, Any], path: str, named: Mapping[str, Any], different: list[str]
    ) -> None:
        self._given = given
        self._path = path
        self._different = different
        self._conditions = Conditions(named, different)
        self._bucketing = Bucketing()
        self._variants = object_at(member(given, "variants", path), f"{path}.variants")
        self._default = self._default_variant()

    def _default_variant(self) -> str:
        found = self._given.get("defaultVariant")
        if isinstance(found, bool):
            found = str(found).lower()
        if not found:
            raise CannotCarryError(
                f"{self._path}.defaultVariant",
                "without one it is the caller's own default, which a flag here always replaces",
            )
        return self._known(found, f"{self._path}.defaultVariant")

    def document(self, environment: str) -> Document:
        enabled = self._given.get("state") != "DISABLED"
        if not enabled:
            self._different.append(
                f"while disabled it gives {self._default!r}, and not the caller's own default"
            )
        if not self._given.keys() <= _KNOWN or self._given.get("metadata"):
            self._different.append("metadata is not carried over")
        targeting = self._given.get("targeting")
        rules = self._rules(targeting, f"{self._path}.targeting") if targeting else []
        fallthrough = None
        if rules and rules[-1]["when"] == ALWAYS:
            fallthrough = rules.pop()["serve"]
        what = {"enabled": enabled, "rules": rules, "fallthrough": fallthrough}
        return {
            "type": type_of([*self._variants.values()], f"{self._path}.variants"),
            "variants": self._variants,
            "default_variant": self._default,
            "off_variant": self._default,
            "environments": {environment: what},
            **self._bucketing.document(),
        }

    def _rules(self, value: Any, path: str, depth: int = 0) -> list[Document]:
        """Return the rules that do what targeting does; after the last, nothing is left to decide."""
        if depth > _MAX_DEPTH:
            raise CannotCarryError(path, "it is nested too deeply")
        value = self._conditions.resolved(value, path)
        if not isinstance(value, dict):
            return [_rule(ALWAYS, {"variant": self._result(value, path)})]
        name, given = operation(value, path)
        path = f"{path}.{name}"
        if name == "fractional":
            return [_rule(ALWAYS, self._shares(given, path))]
        if name != "if":
            return self._truth(value, path)
        rules: list[Document] = []
        for number in range(0, len(given) - 1, 2):
            when = self._conditions.clause(given[number], f"{path}[{number}]")
            inner = self._rules(given[number + 1], f"{path}[{number + 1}]", depth + 1)
            rules += [_rule(_both(when, each["when"]), each["serve"]) for each in inner]
        last = given[-1] if len(given) % 2 else None
        return [*rules, *self._rules(last, f"{path}[{len(given) - 1}]", depth + 1)]

    def _truth(self, value: Any, path: str) -> list[Document]:
        """Return the rules of targeting that is a condition by itself: its result names the variant."""
        if not {"true", "false"} <= self._variants.keys():
            raise CannotCarryError(path, "its result is no variant")
        self._different.append("a condition that says neither true nor false counts as false")
        return [
            _rule(self._conditions.clause(value, path), {"variant": "true"}),
            _rule(ALWAYS, {"variant": "false"}),
        ]

    def _result(self, value: Any, path: str) -> str:
        if value is None:
            return self._default
        if isinstance(value, bool):
            value = str(value).lower()
        return self._known(value, path)

    def _known(self, value: Any, path: str) -> str:
        if not isinstance(value, str) or value not in self._variants:
            raise CannotCarryError(path, f"{value!r:.50} is none of the variants")
        return value

    def _shares(self, given: list[Any], path: str) -> Document:
        if given and not isinstance(given[0], list):
            self._draw_by(given[0], f"{path}[0]")
            given = given[1:]
        else:
            self._bucketing.take("targetingKey", path)
        weights: dict[str, int] = {}
        for number, each in enumerate(given):
            place = f"{path}[{number}]"
            if not isinstance(each, list) or not 1 <= len(each) <= 2:
                raise CannotCarryError(place, "must be a variant and its weight")
            variant, weight = self._result(each[0], place), each[1] if len(each) == 2 else 1
            if type(weight) is not int or variant in weights:
                raise CannotCarryError(place, "must be a variant and a whole weight, each once")
            weights[variant] = max(weight, 0)
        self._different.append(DRAWN_ANEW)
        return {"split": weights}

    def _draw_by(self, value: Any, path: str) -> None:
        """Take what users are drawn by: an attribute, or one after the flag's key or another text."""
        if is_attribute(value):
            # Without the flag's key in it, flags with the same shares give the same users the same.
            self._bucketing.take(attribute_of(value, path), path, "flagd")
            return
        parts = value.get("cat") if isinstance(value, dict) else None
        if not isinstance(parts, list) or len(parts) != 2 or not is_attribute(parts[1]):
            raise CannotCarryError(path, "users can be drawn by one attribute, after a text")
        salt = None if parts[0] == _FLAG_KEY else parts[0]
        if salt is not None and not isinstance(salt, str):
            raise CannotCarryError(path, "users can be drawn by one attribute, after a text")
        self._bucketing.take(attribute_of(parts[1], path), path, salt or None)


def _rule(when: Clause, serve: Document) -> Document:
    return {"when": when, "serve": serve}


def _both(one: Clause, other: Clause) -> Clause:
    return one if other == ALWAYS else every([one, other])
