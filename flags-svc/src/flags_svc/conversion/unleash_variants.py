"""Unleash's variants: what those get who get a feature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from flags_svc.conversion.outcome import (
    DRAWN_ANEW,
    Bucketing,
    CannotCarryError,
    Document,
    object_at,
    objects_at,
)
from flags_svc.conversion.unleash_strategies import Strategy, unit_of
from windsock.flags.definition import EVERYBODY

# What Unleash calls the variant of those who do not get a feature.
DISABLED = "disabled"
_NOTHING: Mapping[str, object] = {"string": "", "float": 0.0, "object": {}}


class Variants:
    """The variants of one feature, and what its strategies make of them."""

    def __init__(
        self,
        feature: Document,
        strategies: Sequence[Strategy],
        path: str,
        bucketing: Bucketing,
    ) -> None:
        self._path = f"{path}.variants"
        self._own = objects_at(feature.get("variants"), self._path)
        self._bucketing = bucketing
        self.different: list[str] = []
        given = [*self._own, *(each for strategy in strategies for each in strategy.variants)]
        if given:
            self.type, self.values = self._read(given)
            self.on, self.off = next(iter(self.values)), DISABLED
            self.values = {**self.values, DISABLED: _NOTHING[self.type]}
            self.different.append(
                f"who does not get it gets the variant {DISABLED!r}, with an empty value"
            )
        else:
            self.type, self.values = "boolean", {"on": True, "off": False}
            self.on, self.off = "on", "off"

    def served(self, strategies: Sequence[Strategy]) -> Document:
        """Return the rules and the fallthrough of a feature that is enabled."""
        if not strategies:
            return {"fallthrough": self._serve(Strategy(()))}
        ordered = self._ordered(strategies)
        rules = [
            {"when": each.when, "serve": self._serve(each)} for each in ordered if each.clauses
        ]
        # It holds for everybody, so nothing behind it is ever asked.
        free = next((each for each in ordered if not each.clauses), None)
        fallthrough = {"variant": self.off} if free is None else self._serve(free)
        return {"rules": rules, "fallthrough": fallthrough}

    def _ordered(self, strategies: Sequence[Strategy]) -> list[Strategy]:
        """Return the strategies so that those who are not in a share are asked no further.

        A user gets a feature by any strategy, so their order counts only for their own variants.
        """
        asked = [each for each in strategies if each.share > 0]
        parts = [each for each in asked if each.share < EVERYBODY]
        if not parts:
            return self._up_to_free(asked)
        own = any(each.variants for each in asked)
        free = any(not each.clauses for each in asked if each.share == EVERYBODY)
        if free and not own:
            return [each for each in asked if not each.clauses and each.share == EVERYBODY]
        if len(parts) > 1 or (own and asked[-1] is not parts[0]):
            raise CannotCarryError(
                self._path.replace("variants", "strategies"),
                "only the last strategy can be for a share of users",
            )
        return self._up_to_free([*(each for each in asked if each is not parts[0]), parts[0]])

    @staticmethod
    def _up_to_free(strategies: Sequence[Strategy]) -> list[Strategy]:
        found: list[Strategy] = []
        for each in strategies:
            found.append(each)
            if not each.clauses:
                break
        return found

    def _serve(self, strategy: Strategy) -> Document:
        given = [*strategy.variants] or self._own
        if not given and self.off == DISABLED:
            raise CannotCarryError(
                self._path.replace("variants", "strategies"),
                "either all strategies have variants or none, unless the feature has its own",
            )
        serve: Document = {"variant": self.on}
        if given:
            weights = {each["name"]: each.get("weight") for each in given}
            serve = {"split": weights} if len(weights) > 1 else {"variant": given[0]["name"]}
            if len(weights) > 1:
                inherited = strategy.stickiness if strategy.variants else "default"
                stickiness = str(given[0].get("stickiness") or inherited)
                self._bucketing.take(unit_of(stickiness, self._path), self._path)
                self.different.append(DRAWN_ANEW)
        if strategy.share == EVERYBODY:
            return serve
        self.different.append(DRAWN_ANEW)
        percentage = strategy.share / (EVERYBODY // 100)
        return {"rollout": {"percentage": percentage, **serve, "otherwise": self.off}}

    def _read(self, given: Sequence[Document]) -> tuple[str, dict[str, object]]:
        payloads: dict[str, Any] = {}
        for number, each in enumerate(given):
            path = f"{self._path}[{number}]"
            name = each.get("name")
            if not isinstance(name, str) or name == DISABLED:
                raise CannotCarryError(path, "a variant needs a name, and not that of nobody's")
            if each.get("overrides"):
                raise CannotCarryError(f"{path}.overrides", "overrides of variants have no equal")
            payload = object_at(each.get("payload") or {}, f"{path}.payload") or None
            if payloads.setdefault(name, payload) != payload:
                raise CannotCarryError(path, f"the variant {name!r:.50} has several values")
        types = {"" if each is None else str(each.get("type")) for each in payloads.values()}
        if types == {"number"}:
            return "float", {name: _float(each, self._path) for name, each in payloads.items()}
        if types == {"json"}:
            return "object", {name: _object(each, self._path) for name, each in payloads.items()}
        if types & {"number", "json"}:
            self.different.append("its values are of several types, and all texts now")
        return "string", {
            name: name if each is None else str(each.get("value", ""))
            for name, each in payloads.items()
        }


def _float(payload: Mapping[str, Any], path: str) -> float:
    try:
        return float(str(payload.get("value")))
    except ValueError:
        raise CannotCarryError(path, f"{payload.get('value')!r:.50} is no number") from None


def _object(payload: Mapping[str, Any], path: str) -> dict[str, Any]:
    try:
        found = orjson.loads(str(payload.get("value")))
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise CannotCarryError(path, "only objects can be values, of all that is JSON")
    return found
