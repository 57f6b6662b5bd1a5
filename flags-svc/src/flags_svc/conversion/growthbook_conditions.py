"""GrowthBook's conditions, in the manner of MongoDB's queries, as clauses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flags_svc.conversion.outcome import (
    NUMBERS,
    VERSIONS,
    CannotCarryError,
    Clause,
    condition,
    every,
    ordered,
    some,
)
from windsock.flags.bucketing import unit_text

_TARGETING_KEY = "targetingKey"
_KEYS_ARE_TEXTS = "ids are texts, also those that were numbers"
_MAX_DEPTH = 20
_ORDERS = {
    "$gt": "greater_than",
    "$gte": "greater_or_equal",
    "$lt": "less_than",
    "$lte": "less_or_equal",
}
_VERSIONS = {
    "$veq": "semver_equals",
    "$vgt": "semver_greater_than",
    "$vgte": "semver_greater_or_equal",
    "$vlt": "semver_less_than",
    "$vlte": "semver_less_or_equal",
}
_PATTERNS = {
    "$regex": (False, False),
    "$notRegex": (True, False),
    "$regexi": (False, True),
    "$notRegexi": (True, True),
}
_LISTS = {
    "$in": (False, False),
    "$nin": (True, False),
    "$ini": (False, True),
    "$nini": (True, True),
}


def attribute_named(name: str) -> str:
    """Return what an attribute is called here: their ``id`` is the targeting key."""
    return _TARGETING_KEY if name == "id" else name


class Conditions:
    """Turns conditions into clauses; ``groups`` are the saved ones, by key."""

    def __init__(self, groups: Mapping[str, Any], different: list[str]) -> None:
        self._groups = groups
        self._different = different

    def clauses(self, value: Any, path: str, depth: int = 0) -> list[Clause]:
        """Return the clauses that must all hold; raises ``CannotCarryError``."""
        if not isinstance(value, dict) or depth > _MAX_DEPTH:
            raise CannotCarryError(path, "must be an object, and not nested too deeply")
        found: list[Clause] = []
        for name, each in value.items():
            place = f"{path}.{name}"
            if name in {"$or", "$nor", "$and"}:
                parts = [every(self.clauses(part, place, depth + 1)) for part in _list(each, place)]
                found.append(_joined(name, parts))
            elif name == "$not":
                found.append({"not": every(self.clauses(each, place, depth + 1))})
            elif name.startswith("$"):
                raise CannotCarryError(place, f"{name} has no equal")
            else:
                found += self._attribute(attribute_named(name), each, place, depth)
        return found

    def _attribute(self, attribute: str, value: Any, path: str, depth: int) -> list[Clause]:
        if not isinstance(value, dict) or not any(name.startswith("$") for name in value):
            return [_equals(attribute, self._text(attribute, value), path)]
        return [
            self._operator(attribute, name, each, f"{path}.{name}", depth)
            for name, each in value.items()
        ]

    def _operator(self, attribute: str, name: str, value: Any, path: str, depth: int) -> Clause:
        if name in _LISTS:
            negate, ignore_case = _LISTS[name]
            values = [self._text(attribute, each) for each in _list(value, path)]
            return _listed(attribute, values, path, negate, ignore_case)
        if name in {"$inGroup", "$notInGroup"}:
            values = [self._text(attribute, each) for each in self._members(value, path)]
            return _listed(attribute, values, path, name == "$notInGroup")
        if name == "$not":
            return {"not": every(self._attribute(attribute, value, path, depth + 1))}
        if name in _ORDERS:
            self._different.append(NUMBERS)
        elif name.startswith("$v"):
            self._different.append(VERSIONS)
        return _compared(attribute, name, self._text(attribute, value), path)

    def _text(self, attribute: str, value: Any) -> Any:
        """Return ``value``, but a number as the text that a targeting key would be."""
        if attribute != _TARGETING_KEY or isinstance(value, bool | str) or unit_text(value) is None:
            return value
        self._different.append(_KEYS_ARE_TEXTS)
        return unit_text(value)

    def _members(self, name: Any, path: str) -> list[Any]:
        if not isinstance(name, str) or name not in self._groups:
            raise CannotCarryError(path, f"there is no saved group {name!r:.50}")
        return _list(self._groups[name], path)


def _compared(attribute: str, name: str, value: Any, path: str) -> Clause:
    if name in {"$eq", "$ne"}:
        return _equals(attribute, value, path, negate=name == "$ne")
    if name in _ORDERS:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise CannotCarryError(path, "only numbers can be compared")
        return ordered(attribute, _ORDERS[name], value)
    if name in _VERSIONS:
        return condition(attribute, _VERSIONS[name], value)
    if name == "$vne":
        return condition(attribute, "semver_equals", value, negate=True)
    if name in _PATTERNS:
        negate, ignore_case = _PATTERNS[name]
        return condition(attribute, "matches", value, negate=negate, ignore_case=ignore_case)
    if name == "$exists":
        return condition(attribute, "exists", negate=not value)
    raise CannotCarryError(path, f"{name} has no equal")


def _joined(name: str, parts: list[Clause]) -> Clause:
    if name == "$and":
        return every(parts)
    # Of no conditions, one always holds.
    if not parts:
        return {"all": []} if name == "$or" else {"not": {"all": []}}
    return some(parts) if name == "$or" else {"not": some(parts)}


def _equals(attribute: str, value: Any, path: str, *, negate: bool = False) -> Clause:
    if value is None:
        return condition(attribute, "exists", negate=not negate)
    if not isinstance(value, str | int | float):
        raise CannotCarryError(path, "an attribute can equal a text, a number or a boolean")
    return condition(attribute, "equals", value, negate=negate)


def _listed(
    attribute: str, values: list[Any], path: str, negate: bool, ignore_case: bool = False
) -> Clause:
    if not all(isinstance(each, str | int | float) for each in values):
        raise CannotCarryError(path, "only texts, numbers and booleans can be listed")
    return condition(attribute, "in", *values, negate=negate, ignore_case=ignore_case)


def _list(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise CannotCarryError(path, "must be a list")
    return value
