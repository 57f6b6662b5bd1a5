"""Flags of ours as flagd's definitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any as AnyType

from flags_svc.conversion.outcome import ANOTHER_HASH, CannotCarryError, Document, Note
from windsock.flags.definition import (
    EVERYBODY,
    TARGETING_KEY,
    All,
    Clause,
    Condition,
    Flag,
    FlagSet,
    InSegment,
    Not,
    Rollout,
    Segment,
    Serve,
    Split,
)
from windsock.flags.reading import MAX_TOTAL_WEIGHT

SCHEMA = "https://flagd.dev/schema/v0/flags.json"
_COMPARED = {
    "greater_than": ">",
    "greater_or_equal": ">=",
    "less_than": "<",
    "less_or_equal": "<=",
}
_VERSIONS = {
    "semver_equals": "=",
    "semver_greater_than": ">",
    "semver_greater_or_equal": ">=",
    "semver_less_than": "<",
    "semver_less_or_equal": "<=",
}


def write(flags: FlagSet) -> tuple[Document, list[Note]]:
    """Return the definitions of one environment, and what could not be carried over or is not as it was."""
    written: dict[str, Document] = {}
    notes: list[Note] = []
    for key in sorted(flags.flags):
        path = f"flags.{key}"
        writer = _Writer(flags.segments)
        try:
            written[key] = writer.flag(flags.flags[key], path)
        except CannotCarryError as error:
            notes.append(Note(error.path, key, error.detail, left_out=True))
        else:
            notes += [Note(path, key, each) for each in writer.different]
    return {"$schema": SCHEMA, "flags": written}, notes


class _Writer:
    """Writes one flag; ``different`` is what will not be as it was."""

    def __init__(self, segments: Mapping[str, Segment]) -> None:
        self._segments = segments
        self.different: list[str] = []

    def flag(self, flag: Flag, path: str) -> Document:
        if flag.off_variant is None or flag.fallthrough is None:
            raise CannotCarryError(path, "it leaves something to the caller's own default")
        if flag.prerequisites:
            raise CannotCarryError(f"{path}.prerequisites", "flagd's flags ask for no others")
        found: Document = {"state": "ENABLED", "variants": dict(flag.variants)}
        if not flag.enabled:
            # What flagd has disabled gives the caller's own default, and not a variant.
            return {**found, "defaultVariant": flag.off_variant}
        rest = self._serve(flag, flag.fallthrough, f"{path}.fallthrough")
        branches: list[AnyType] = []
        for target in flag.targets:
            branches += [{"in": [{"var": TARGETING_KEY}, sorted(target.keys)]}, target.variant]
        for number, rule in enumerate(flag.rules):
            place = f"{path}.rules[{number}]"
            branches += [self._clause(rule.when, place), self._serve(flag, rule.serve, place)]
        if not branches and isinstance(rest, str):
            return {**found, "defaultVariant": rest}
        default = rest if isinstance(rest, str) else flag.off_variant
        targeting = {"if": [*branches, rest]} if branches else rest
        return {**found, "defaultVariant": default, "targeting": targeting}

    def _serve(self, flag: Flag, serve: Serve, path: str) -> AnyType:
        if isinstance(serve, str):
            return serve
        if isinstance(serve, Split):
            return self._shares(flag, dict(serve.weights))
        otherwise = flag.off_variant if serve.otherwise is None else serve.otherwise
        assert otherwise is not None
        return self._rolled(flag, serve, otherwise, path)

    def _rolled(self, flag: Flag, serve: Rollout, otherwise: str, path: str) -> AnyType:
        if serve.share == 0:
            return otherwise
        within = {serve.serve: 1} if isinstance(serve.serve, str) else dict(serve.serve.weights)
        if serve.share == EVERYBODY:
            return serve.serve if isinstance(serve.serve, str) else self._shares(flag, within)
        total = sum(within.values())
        if total * EVERYBODY > MAX_TOTAL_WEIGHT:
            raise CannotCarryError(path, "the weights of the split in the rollout are too great")
        weights = {variant: weight * serve.share for variant, weight in within.items()}
        weights[otherwise] = weights.get(otherwise, 0) + (EVERYBODY - serve.share) * total
        self.different.append("who is in at a smaller share may be out at a greater one")
        return self._shares(flag, weights)

    def _shares(self, flag: Flag, weights: Mapping[str, int]) -> Document:
        if ANOTHER_HASH not in self.different:
            self.different.append(ANOTHER_HASH)
        unit = {"cat": [flag.salt or {"var": "$flagd.flagKey"}, {"var": flag.bucket_by}]}
        return {"fractional": [unit, *([variant, weights[variant]] for variant in weights)]}

    def _clause(self, clause: Clause, path: str) -> AnyType:
        if isinstance(clause, InSegment):
            return self._segment(self._segments[clause.segment], path)
        if isinstance(clause, Not):
            return {"!": [self._clause(clause.clause, path)]}
        if isinstance(clause, Condition):
            return self._condition(clause, path)
        name = "and" if isinstance(clause, All) else "or"
        if not clause.clauses:
            return isinstance(clause, All)
        return {name: [self._clause(each, path) for each in clause.clauses]}

    def _segment(self, segment: Segment, path: str) -> AnyType:
        parts: list[AnyType] = []
        if segment.included:
            parts.append({"in": [{"var": TARGETING_KEY}, sorted(segment.included)]})
        if segment.when is not None:
            parts.append(self._clause(segment.when, path))
        within: AnyType = {"or": parts} if parts else False
        if not segment.excluded:
            return within
        return {
            "and": [{"!": [{"in": [{"var": TARGETING_KEY}, sorted(segment.excluded)]}]}, within]
        }

    def _condition(self, condition: Condition, path: str) -> AnyType:
        if condition.ignore_case:
            raise CannotCarryError(path, "flagd compares texts with their case")
        attribute = {"var": condition.attribute}
        found: AnyType
        if condition.operator == "exists":
            found = {"!==": [attribute, None]}
        elif condition.operator in {"equals", "in"}:
            found = {"in": [attribute, list(condition.values)]}
        else:
            held = [_held(condition.operator, attribute, each, path) for each in condition.values]
            found = held[0] if len(held) == 1 else {"or": held} if held else False
        return {"!": [found]} if condition.negate else found


def _held(operator: str, attribute: Document, value: object, path: str) -> Document:
    if operator in {"starts_with", "ends_with"}:
        return {operator: [attribute, value]}
    if operator == "contains":
        return {"in": [value, attribute]}
    if operator in _VERSIONS:
        return {"sem_ver": [attribute, _VERSIONS[operator], value]}
    if operator in _COMPARED:
        # What is not there counts as 0 in JSONLogic.
        return {"and": [{"!==": [attribute, None]}, {_COMPARED[operator]: [attribute, value]}]}
    raise CannotCarryError(path, f"the operator {operator} has no equal in flagd")
