"""JSONLogic conditions (https://jsonlogic.com), of which flagd's targeting is made, as clauses."""

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

_ORDERS = {
    ">": "greater_than",
    ">=": "greater_or_equal",
    "<": "less_than",
    "<=": "less_or_equal",
}
_TURNED = {">": "<", ">=": "<=", "<": ">", "<=": ">="}
_VERSIONS = {
    "=": "semver_equals",
    ">": "semver_greater_than",
    ">=": "semver_greater_or_equal",
    "<": "semver_less_than",
    "<=": "semver_less_or_equal",
}
ALWAYS: Clause = {"all": []}
NEVER: Clause = {"any": []}
# No version goes before it (Semantic Versioning 2.0.0, section 11).
_LEAST = "0.0.0-0"
_MAX_DEPTH = 25


class Conditions:
    """Turns JSONLogic into clauses; ``named`` are flagd's shared evaluators."""

    def __init__(self, named: Mapping[str, Any], different: list[str]) -> None:
        self._named = named
        self._different = different

    def resolved(self, value: Any, path: str) -> Any:
        """Return ``value``, or the shared evaluator that it refers to."""
        for _ in range(_MAX_DEPTH):
            if not isinstance(value, dict) or value.keys() != {"$ref"}:
                return value
            name = value["$ref"]
            if not isinstance(name, str) or name not in self._named:
                raise CannotCarryError(path, f"there is no shared evaluator {name!r:.100}")
            value = self._named[name]
        raise CannotCarryError(path, "shared evaluators refer to each other in a ring")

    def clause(self, value: Any, path: str, depth: int = 0) -> Clause:
        """Return the clause that holds when ``value`` is true."""
        value = self.resolved(value, path)
        if depth > _MAX_DEPTH:
            raise CannotCarryError(path, "it is nested too deeply")
        if not isinstance(value, dict):
            # As in JavaScript, but an empty list is false.
            return ALWAYS if value not in (None, False, 0, "", []) else NEVER
        name, given = operation(value, path)
        path = f"{path}.{name}"
        if name in {"and", "or"}:
            clauses = [
                self.clause(each, f"{path}[{number}]", depth + 1)
                for number, each in enumerate(given)
            ]
            return every(clauses) if name == "and" else some(clauses)
        if name == "!":
            return {"not": self.clause(one_of(given, path), path, depth + 1)}
        if name == "!!":
            return self.clause(one_of(given, path), path, depth + 1)
        if name == "if":
            return self._chosen(given, path, depth)
        return self._compared(name, given, path)

    def _chosen(self, given: list[Any], path: str, depth: int) -> Clause:
        rest = NEVER if len(given) % 2 == 0 else self.clause(given[-1], path, depth + 1)
        for number in range(len(given) // 2 * 2 - 2, -1, -2):
            when = self.clause(given[number], f"{path}[{number}]", depth + 1)
            then = self.clause(given[number + 1], f"{path}[{number + 1}]", depth + 1)
            rest = some([every([when, then]), every([{"not": when}, rest])])
        return rest

    def _compared(self, name: str, given: list[Any], path: str) -> Clause:
        if name in {"==", "!="}:
            self._different.append("values equal only those of their own type: '1' is not 1")
        if name in {"==", "===", "!=", "!=="}:
            return _equal(given, path, negate=name.startswith("!"))
        if name in _ORDERS:
            self._different.append(NUMBERS)
            return _ordered(name, given, path)
        if name == "in":
            return self._contained(given, path)
        if name in {"starts_with", "ends_with"}:
            attribute, text = _attribute_and(given, path, str)
            return condition(attribute, name, text)
        if name == "sem_ver":
            self._different.append(VERSIONS)
            return _version(given, path)
        if name == "var":
            attribute = attribute_of({"var": given}, path)
            return every(
                [
                    condition(attribute, "exists"),
                    condition(attribute, "in", False, 0, "", negate=True),
                ]
            )
        raise CannotCarryError(path, f"the operation {name!r:.50} has no equal")

    def _contained(self, given: list[Any], path: str) -> Clause:
        if len(given) == 2 and isinstance(given[0], str) and is_attribute(given[1]):
            self._different.append(
                "in a list, a text is looked for in each element and not as an element"
            )
            return condition(attribute_of(given[1], path), "contains", given[0])
        attribute, values = _attribute_and(given, path, list)
        for each in values:
            if not isinstance(each, str | int | float):
                raise CannotCarryError(path, "only texts, numbers and booleans can be listed")
        return condition(attribute, "in", *values) if values else NEVER


def operation(value: Mapping[str, Any], path: str) -> tuple[str, list[Any]]:
    """Return the operation of an object and what it is given."""
    if len(value) != 1:
        raise CannotCarryError(path, "an operation has one name")
    ((name, given),) = value.items()
    return name, given if isinstance(given, list) else [given]


def one_of(given: list[Any], path: str) -> Any:
    """Return the only thing that an operation is given."""
    if len(given) != 1:
        raise CannotCarryError(path, "takes one thing")
    return given[0]


def is_attribute(value: Any) -> bool:
    """Return whether something is an attribute of the context."""
    return isinstance(value, dict) and value.keys() == {"var"}


def attribute_of(value: Any, path: str) -> str:
    """Return the name of an attribute."""
    name = value["var"] if is_attribute(value) else None
    if isinstance(name, list) and name and all(each is None for each in name[1:]):
        name = name[0]
    if not isinstance(name, str) or not name:
        raise CannotCarryError(path, "only an attribute by its name can be asked for")
    if name.split(".")[0] == "$flagd":
        raise CannotCarryError(path, f"{name} is not part of the context here")
    return name


def _attribute_and(given: list[Any], path: str, wanted: type) -> tuple[str, Any]:
    if len(given) != 2 or not isinstance(given[1], wanted):
        raise CannotCarryError(path, f"takes an attribute and a {wanted.__name__}")
    return attribute_of(given[0], path), given[1]


def _equal(given: list[Any], path: str, *, negate: bool) -> Clause:
    if len(given) == 2 and is_attribute(given[1]):
        given = [given[1], given[0]]
    if len(given) != 2:
        raise CannotCarryError(path, "takes two things")
    attribute, value = attribute_of(given[0], path), given[1]
    if value is None:
        return condition(attribute, "exists", negate=not negate)
    if not isinstance(value, str | int | float):
        raise CannotCarryError(path, "an attribute can equal a text, a number or a boolean")
    return condition(attribute, "equals", value, negate=negate)


def _ordered(name: str, given: list[Any], path: str) -> Clause:
    if len(given) == 3 and name in {"<", "<="}:
        return every([_ordered(name, given[:2], path), _ordered(name, given[1:], path)])
    if len(given) == 2 and is_attribute(given[1]):
        name, given = _TURNED[name], [given[1], given[0]]
    if len(given) != 2 or type(given[1]) not in {int, float}:
        raise CannotCarryError(path, "takes an attribute and a number")
    return ordered(attribute_of(given[0], path), _ORDERS[name], given[1])


def _version(given: list[Any], path: str) -> Clause:
    if len(given) != 3 or not isinstance(given[1], str) or not isinstance(given[2], str):
        raise CannotCarryError(path, "takes an attribute, an operator and a version")
    attribute, operator, version = attribute_of(given[0], path), given[1], given[2]
    if operator in _VERSIONS:
        return condition(attribute, _VERSIONS[operator], version)
    if operator == "!=":
        return every(
            [
                condition(attribute, "semver_greater_or_equal", _LEAST),
                condition(attribute, "semver_equals", version, negate=True),
            ]
        )
    if operator not in {"^", "~"}:
        raise CannotCarryError(path, f"the operator {operator!r:.20} has no equal")
    return _version_range(attribute, operator, version, path)


def _version_range(attribute: str, operator: str, version: str, path: str) -> Clause:
    """Return that the major version is the same, or the minor one too: flagd asks for no more."""
    parts = [*version.lstrip("vV").split("-")[0].split("+")[0].split("."), "0", "0"][:2]
    if not all(part.isascii() and part.isdecimal() for part in parts):
        raise CannotCarryError(path, f"{version!r:.50} is no version")
    major, minor = (int(part) for part in parts)
    first, end = (
        (f"{major}.0.0-0", f"{major + 1}.0.0-0")
        if operator == "^"
        else (f"{major}.{minor}.0-0", f"{major}.{minor + 1}.0-0")
    )
    return every(
        [
            condition(attribute, "semver_greater_or_equal", first),
            condition(attribute, "semver_less_than", end),
        ]
    )
