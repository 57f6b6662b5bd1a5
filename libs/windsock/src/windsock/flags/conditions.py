"""Clauses as closures: what can be prepared is, once for each version of the flags."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any as AnyType

from windsock.flags import patterns
from windsock.flags.definition import (
    TARGETING_KEY,
    All,
    Any,
    Clause,
    Condition,
    InSegment,
    Segment,
)
from windsock.flags.operators import EQUALS, EXISTS, OPERATORS, Test
from windsock.flags.references import References

Context = Mapping[str, AnyType]
# Whether something holds for a user, given as targeting key, and a context.
Holds = Callable[[str | None, Context], bool]
Lookup = Callable[[str | None, Context], AnyType]


# Segments nest: how deep, and how many conditions one may ask in all, so that it ends soon.
MAX_DEPTH = 10
MAX_COST = 100_000


class CompiledSegment:
    """A segment, prepared when it is asked first. ``problem`` says why it cannot be used."""

    __slots__ = ("_prepared", "cost", "depth", "nested", "problem", "references", "segment")

    def __init__(
        self,
        segment: Segment,
        references: References,
        segments: Mapping[str, CompiledSegment],
        problem: str = "",
    ) -> None:
        """Take ``segment`` with what it needs of ``segments``, which are not kept whole."""
        self.segment = segment
        self.references = references
        self.nested = {key: segments[key] for key in references.segments if key in segments}
        self.depth: int = 1 + max((each.depth for each in self.nested.values()), default=0)
        self.cost: int = references.conditions + cost_of(references, self.nested)
        self.problem = problem or self._found_problem()
        if self.problem:
            self.depth = self.cost = 1
        self._prepared: Holds | None = None

    def _found_problem(self) -> str:
        if self.references.has_patterns and not patterns.AVAILABLE:
            return patterns.NEEDED
        for key in sorted(self.references.segments):
            if key not in self.nested:
                return f"there is no segment {key!r}"
            if self.nested[key].problem:
                return f"segment {key!r}: {self.nested[key].problem}"
        if self.depth > MAX_DEPTH:
            return f"is nested more than {MAX_DEPTH} deep"
        if self.cost > MAX_COST:
            return f"has more than {MAX_COST} conditions, with those of its segments"
        return ""

    def holds(self, unit: str | None, context: Context) -> bool:
        """Return whether the user is in the segment."""
        if self._prepared is None:
            self._prepared = self._prepare()
        return self._prepared(unit, context)

    def _prepare(self) -> Holds:
        included, excluded = self.segment.included, self.segment.excluded
        when = self.segment.when
        if when is None:
            return lambda unit, _: unit in included and unit not in excluded
        rest = holds_of(when, self.nested)

        def holds(unit: str | None, context: Context) -> bool:
            return unit not in excluded and (unit in included or rest(unit, context))

        return holds


def cost_of(references: References, segments: Mapping[str, CompiledSegment]) -> int:
    """Return how many conditions the segments may ask, each as often as it is named."""
    return sum(
        times * segments[key].cost for key, times in references.segments.items() if key in segments
    )


def holds_of(clause: Clause, segments: Mapping[str, CompiledSegment]) -> Holds:
    """Return the closure of ``clause``, all whose segments are among ``segments``."""
    if isinstance(clause, Condition):
        return _condition(clause)
    if isinstance(clause, InSegment):
        return segments[clause.segment].holds
    if isinstance(clause, All | Any):
        parts = tuple(holds_of(each, segments) for each in clause.clauses)
        return _all(parts) if isinstance(clause, All) else _any(parts)
    inner = holds_of(clause.clause, segments)
    return lambda unit, context: not inner(unit, context)


def _all(parts: tuple[Holds, ...]) -> Holds:
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        one, other = parts
        return lambda unit, context: one(unit, context) and other(unit, context)

    def holds(unit: str | None, context: Context) -> bool:
        for part in parts:  # noqa: SIM110  # A generator would cost twice as much.
            if not part(unit, context):
                return False
        return True

    return holds


def _any(parts: tuple[Holds, ...]) -> Holds:
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        one, other = parts
        return lambda unit, context: one(unit, context) or other(unit, context)

    def holds(unit: str | None, context: Context) -> bool:
        for part in parts:  # noqa: SIM110  # As above.
            if part(unit, context):
                return True
        return False

    return holds


def _condition(condition: Condition) -> Holds:
    negate, name = condition.negate, condition.attribute
    if "." not in name and name != TARGETING_KEY:
        if condition.operator in EQUALS and not condition.ignore_case:
            return _equals(condition)
        test = test_of(condition)
        return lambda _, context: test(context.get(name)) is not negate
    test, lookup = test_of(condition), lookup_of(name)
    return lambda unit, context: test(lookup(unit, context)) is not negate


def _equals(condition: Condition) -> Holds:
    """Return the closure of the condition that is most frequent, in as few steps as possible."""
    negate, name = condition.negate, condition.attribute
    texts = frozenset(value for value in condition.values if isinstance(value, str))

    def holds(_: str | None, context: Context) -> bool:
        value = context.get(name)
        if type(value) is str:
            return (value in texts) is not negate
        # What is rare is prepared only when it comes, and forgotten again.
        return (value is not None and test_of(condition)(value)) is not negate

    return holds


def test_of(condition: Condition) -> Test:
    """Return whether an attribute holds: of a list one element must, and ``None`` is missing."""
    if condition.operator == EXISTS:
        return lambda value: value is not None
    test = OPERATORS[condition.operator].make(condition.values, condition.ignore_case)

    def holds(value: AnyType) -> bool:
        if value is None:
            return False
        if isinstance(value, list | tuple | set | frozenset):
            return any(each is not None and test(each) for each in value)
        return test(value)

    return holds


def lookup_of(name: str) -> Lookup:
    """Return how an attribute is found: by its whole name, else by its path into objects."""
    if name == TARGETING_KEY:
        return lambda unit, _: unit
    if "." not in name:
        return lambda _, context: context.get(name)
    path = name.split(".")

    def lookup(_: str | None, context: Context) -> AnyType:
        found = context.get(name)
        if found is not None:
            return found
        found = context
        for part in path:
            if not isinstance(found, Mapping):
                return None
            found = found.get(part)
        return found

    return lookup
