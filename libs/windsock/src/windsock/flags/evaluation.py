"""Which variant of a flag a user gets: pure, and prepared once for each version of the flags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from windsock.flags import patterns
from windsock.flags.bucketing import hash32
from windsock.flags.conditions import CompiledSegment, Context, cost_of, holds_of
from windsock.flags.deciding import (
    NOTHING,
    Decide,
    Evaluate,
    constant,
    fallthrough,
    fixed_result,
    guarded,
    result,
    ruled,
    serve_of,
    targeted,
)
from windsock.flags.definition import Flag, FlagSet, Segment
from windsock.flags.references import (
    NO_REFERENCES,
    References,
    in_order,
    is_circle,
    names,
    references_of_flag,
    references_of_segment,
    users_of,
)
from windsock.flags.results import (
    DEFAULT,
    DISABLED,
    ERROR,
    FLAG_NOT_FOUND,
    GENERAL,
    INVALID_CONTEXT,
    PARSE_ERROR,
    PROVIDER_NOT_READY,
    SPLIT,
    STATIC,
    TARGETING_KEY_MISSING,
    TARGETING_MATCH,
    TYPE_MISMATCH,
    Evaluation,
    failed,
)

__all__ = [
    "DEFAULT",
    "DISABLED",
    "ERROR",
    "FLAG_NOT_FOUND",
    "GENERAL",
    "INVALID_CONTEXT",
    "NOTHING",
    "PARSE_ERROR",
    "PROVIDER_NOT_READY",
    "SPLIT",
    "STATIC",
    "TARGETING_KEY_MISSING",
    "TARGETING_MATCH",
    "TYPE_MISMATCH",
    "CompiledFlag",
    "CompiledSet",
    "Evaluation",
    "compile_set",
    "failed",
    "hash32",
]


# Prerequisites have prerequisites: what one evaluation may ask of others, so that it ends soon.
MAX_DEPTH = 50
MAX_COST = 1_000
MAX_CONDITIONS = 1_000_000


class CompiledFlag:
    """A flag, prepared when it is asked first.

    ``fixed`` is the evaluation of a flag that is the same for everybody, else ``None``.
    ``problem`` says why a flag cannot be used; every evaluation of it is an error
    then, as long as it is enabled.
    """

    __slots__ = (
        "cost",
        "depth",
        "evaluate",
        "fixed",
        "flag",
        "problem",
        "required",
        "segments",
    )

    def __init__(
        self,
        flag: Flag,
        flags: Mapping[str, CompiledFlag] = MappingProxyType({}),
        segments: Mapping[str, CompiledSegment] = MappingProxyType({}),
        references: References = NO_REFERENCES,
        problem: str = "",
    ) -> None:
        """Take ``flag`` with what it needs of ``flags`` and ``segments``, which are not kept whole."""
        self.flag = flag
        self.required = {key: flags[key] for key in references.flags if key in flags}
        self.segments = {key: segments[key] for key in references.segments if key in segments}
        self.depth: int = 1 + max((each.depth for each in self.required.values()), default=0)
        self.cost: int = 1 + sum(each.cost for each in self.required.values())
        self.problem = problem or self._found_problem(references)
        if self.problem:
            self.depth = self.cost = 1
        # What is switched off stays so, whatever else is wrong with it.
        self.fixed = (
            failed(flag.key, PARSE_ERROR, self.problem)
            if self.problem and flag.enabled
            else fixed_result(flag)
        )
        self.evaluate: Evaluate = self._first

    def _found_problem(self, references: References) -> str:
        if references.has_patterns and not patterns.AVAILABLE:
            return patterns.NEEDED
        for key in sorted(references.segments):
            if key not in self.segments:
                return f"there is no segment {key!r}"
            if self.segments[key].problem:
                return f"segment {key!r}: {self.segments[key].problem}"
        if self.depth > MAX_DEPTH:
            return f"has prerequisites of prerequisites, more than {MAX_DEPTH} deep"
        if self.cost > MAX_COST:
            return f"has more than {MAX_COST} prerequisites, with theirs"
        if cost_of(references, self.segments) > MAX_CONDITIONS:
            return f"has segments with more than {MAX_CONDITIONS} conditions"
        return ""

    def _first(self, unit: str | None = None, context: Context = NOTHING) -> Evaluation:
        try:
            self.evaluate = (
                guarded(self.flag.key, self._prepared())
                if self.fixed is None
                else constant(self.fixed)
            )
        except Exception as error:  # noqa: BLE001
            # A definition that was not read but made may be wrong in any way.
            self.problem = f"{type(error).__name__}: {error}"
            self.fixed = failed(self.flag.key, PARSE_ERROR, self.problem)
            self.evaluate = constant(self.fixed)
        return self.evaluate(unit, context)

    def _prepared(self) -> Decide:
        flag = self.flag
        rest = fallthrough(flag)
        rules = tuple(
            (holds_of(rule.when, self.segments), serve_of(flag, rule.serve, TARGETING_MATCH))
            for rule in flag.rules
        )
        decide = ruled(rules, rest) if rules else rest
        if flag.targets:
            decide = targeted(flag, decide)
        if flag.prerequisites:
            decide = self._after_prerequisites(decide)
        return decide

    def _after_prerequisites(self, decide: Decide) -> Decide:
        off = result(self.flag, self.flag.off_variant, DISABLED)
        required = self.required
        if any(each.flag not in required for each in self.flag.prerequisites):
            return constant(off)
        checks = tuple((required[each.flag], each.variants) for each in self.flag.prerequisites)

        def with_prerequisites(unit: str | None, context: Context) -> Evaluation:
            for other, variants in checks:
                if other.evaluate(unit, context).variant not in variants:
                    return off
            return decide(unit, context)

        return with_prerequisites


class CompiledSet(dict[str, CompiledFlag]):
    """The flags of one version by key. Nobody changes one: a new version is another object.

    ``problems`` are those of flags that cannot be used, by key; ``segments`` all segments.
    """

    __slots__ = ("problems", "references", "segments")

    def __init__(self, former: Mapping[str, CompiledFlag] = MappingProxyType({})) -> None:
        super().__init__(former)
        self.segments: dict[str, CompiledSegment] = {}
        self.problems: dict[str, str] = {}
        # Only of the flags that refer to anything, which may be few of many.
        self.references: dict[str, References] = {}

    def after(
        self,
        flags: Iterable[Flag] = (),
        removed: Iterable[str] = (),
        segments: Iterable[Segment] = (),
        removed_segments: Iterable[str] = (),
    ) -> CompiledSet:
        """Return the set with ``flags`` and ``segments`` added or replaced, and without the removed."""
        changed = {flag.key: flag for flag in flags}
        changed_segments = {segment.key: segment for segment in segments}
        new = CompiledSet(self)
        new.segments = self.segments.copy()
        new.problems = self.problems.copy()
        new.references = self.references.copy()
        stale = new._compile_segments(changed_segments, set(removed_segments))
        new._compile_flags(changed, set(removed), stale)
        return new

    def _compile_segments(self, changed: dict[str, Segment], removed: set[str]) -> set[str]:
        """Return the keys of all segments that may hold for others than before."""
        for key in removed:
            self.segments.pop(key, None)
        references = {key: each.references for key, each in self.segments.items()}
        for key, segment in changed.items():
            references[key] = references_of_segment(segment)
        needs = {key: each.segments for key, each in references.items()}
        stale = users_of(changed.keys() | removed, needs)
        for group in in_order(
            stale & needs.keys(), lambda key: needs[key].keys() & stale & needs.keys()
        ):
            former = {key: changed.get(key) or self.segments[key].segment for key in group}
            for key in group:
                self.segments.pop(key, None)
            circle = is_circle(group, needs)
            made = [
                CompiledSegment(
                    former[key], references[key], self.segments, _circular(group) if circle else ""
                )
                for key in group
            ]
            self.segments.update((each.segment.key, each) for each in made)
        return stale

    def _compile_flags(
        self, changed: dict[str, Flag], removed: set[str], stale_segments: set[str]
    ) -> None:
        for key in removed:
            self.pop(key, None)
            self.references.pop(key, None)
            self.problems.pop(key, None)
        for key, flag in changed.items():
            self.references.pop(key, None)
            references = references_of_flag(flag)
            if references:
                self.references[key] = references
        needs = {key: each.flags for key, each in self.references.items() if each.flags}
        by_segment = {
            key for key, each in self.references.items() if each.segments.keys() & stale_segments
        }
        stale = users_of(changed.keys() | removed | by_segment, needs)
        stale &= changed.keys() | self.keys()
        nothing: frozenset[str] = frozenset()
        for group in in_order(stale, lambda key: needs.get(key, nothing) & stale):
            circle = is_circle(group, needs)
            definitions = [changed[key] if key in changed else self[key].flag for key in group]
            for key in group:
                self.pop(key, None)
            for flag in definitions:
                self._put(flag, _circular(group) if circle else "")

    def _put(self, flag: Flag, problem: str) -> None:
        references = self.references.get(flag.key)
        if references is None:
            self[flag.key] = CompiledFlag(flag)
            self.problems.pop(flag.key, None)
            return
        compiled = CompiledFlag(flag, self, self.segments, references, problem)
        self[flag.key] = compiled
        if compiled.problem:
            self.problems[flag.key] = compiled.problem
        else:
            self.problems.pop(flag.key, None)


def compile_set(flags: FlagSet) -> CompiledSet:
    """Return ``flags`` prepared. What cannot be used is among its ``problems``; the others can."""
    return CompiledSet().after(flags.flags.values(), (), flags.segments.values())


def _circular(group: tuple[str, ...]) -> str:
    return f"{names(group)} need one another in a circle"
