"""Which flags and segments need which others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from windsock.flags.definition import (
    All,
    Any,
    Clause,
    Condition,
    Flag,
    FlagSet,
    InSegment,
    Not,
    Segment,
)
from windsock.flags.operators import MATCHES
from windsock.flags.shape import InvalidFlagsError


@dataclass(frozen=True, slots=True)
class References:
    """What something names: flags, segments and how often each, conditions, and whether patterns."""

    flags: frozenset[str] = frozenset()
    segments: Mapping[str, int] = field(default_factory=dict)
    conditions: int = 0
    has_patterns: bool = False

    def __bool__(self) -> bool:
        """Return whether anything is needed to use it."""
        return bool(self.flags or self.segments or self.has_patterns)


NO_REFERENCES = References()


def references_of_flag(flag: Flag) -> References:
    if not flag.rules and not flag.prerequisites:
        return NO_REFERENCES
    flags = frozenset(each.flag for each in flag.prerequisites)
    return _references(flags, (rule.when for rule in flag.rules))


def references_of_segment(segment: Segment) -> References:
    return NO_REFERENCES if segment.when is None else references_of_clause(segment.when)


def references_of_clause(clause: Clause) -> References:
    return _references(frozenset(), (clause,))


def _references(flags: frozenset[str], clauses: Iterable[Clause]) -> References:
    segments: dict[str, int] = {}
    conditions, has_patterns = 0, False
    for leaf in leaves(clauses):
        if isinstance(leaf, InSegment):
            segments[leaf.segment] = segments.get(leaf.segment, 0) + 1
        else:
            conditions += 1
            has_patterns = has_patterns or leaf.operator == MATCHES
    return References(flags, segments, conditions, has_patterns)


def leaves(clauses: Iterable[Clause]) -> Iterator[Condition | InSegment]:
    """Yield the conditions and segments within ``clauses``, in no order."""
    left = list(clauses)
    while left:
        clause = left.pop()
        if isinstance(clause, All | Any):
            left.extend(clause.clauses)
        elif isinstance(clause, Not):
            left.append(clause.clause)
        else:
            yield clause


def users_of(keys: Iterable[str], needs: Mapping[str, Collection[str]]) -> set[str]:
    """Return ``keys`` and all that need one of them, at first or at second hand."""
    users: dict[str, list[str]] = {}
    for user, needed in needs.items():
        for key in needed:
            users.setdefault(key, []).append(user)
    found = set(keys)
    left = list(found)
    while left:
        for user in users.get(left.pop(), ()):
            if user not in found:
                found.add(user)
                left.append(user)
    return found


def is_circle(group: tuple[str, ...], needs: Mapping[str, Collection[str]]) -> bool:
    """Return whether a group of ``in_order`` goes in a circle."""
    return len(group) > 1 or group[0] in needs.get(group[0], ())


def in_order(
    keys: Iterable[str], needs: Callable[[str], Iterable[str]]
) -> Iterator[tuple[str, ...]]:
    """Yield the groups of keys that need one another, each after the groups that it needs.

    A group of more than one is a circle, and so is one key that needs itself. This is Tarjan's
    algorithm of strongly connected components, without recursion: chains may be long.
    """
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_keys: list[str] = []
    is_open: set[str] = set()
    for root in keys:
        if root in index:
            continue
        index[root] = lowest[root] = len(index)
        open_keys.append(root)
        is_open.add(root)
        path = [(root, iter(sorted(needs(root))))]
        while path:
            key, others = path[-1]
            other = next(others, None)
            if other is None:
                path.pop()
                if path:
                    lowest[path[-1][0]] = min(lowest[path[-1][0]], lowest[key])
                if lowest[key] == index[key]:
                    group = [open_keys.pop()]
                    while group[-1] != key:
                        group.append(open_keys.pop())
                    is_open.difference_update(group)
                    yield tuple(group)
            elif other not in index:
                index[other] = lowest[other] = len(index)
                open_keys.append(other)
                is_open.add(other)
                path.append((other, iter(sorted(needs(other)))))
            elif other in is_open:
                lowest[key] = min(lowest[key], index[other])


def circle_of(needs: Mapping[str, Collection[str]]) -> tuple[str, ...] | None:
    """Return the keys of a circle, each of which needs another of it, or ``None``."""
    for group in in_order(needs, lambda key: needs.get(key, ())):
        if is_circle(group, needs):
            return group
    return None


def refuse_wrong_references(flags: FlagSet) -> None:
    """Raise ``InvalidFlagsError`` for unknown segments, and for what goes in a circle."""
    nested: dict[str, Collection[str]] = {}
    for index, segment in enumerate(flags.segments.values()):
        nested[segment.key] = references_of_segment(segment).segments
        _all_known(nested[segment.key], flags.segments, f"segments[{index}].when")
    needs: dict[str, Collection[str]] = {}
    for index, flag in enumerate(flags.flags.values()):
        references = references_of_flag(flag)
        _all_known(references.segments, flags.segments, f"flags[{index}].rules")
        if references.flags:
            needs[flag.key] = references.flags
    circle = circle_of(nested)
    if circle is not None:
        raise InvalidFlagsError("segments", f"{names(circle)} go in a circle")
    circle = circle_of(needs)
    if circle is not None:
        raise InvalidFlagsError("flags", f"the prerequisites of {names(circle)} go in a circle")


def names(keys: Iterable[str]) -> str:
    return ", ".join(sorted(keys))


def _all_known(keys: Collection[str], segments: Mapping[str, Segment], path: str) -> None:
    for key in sorted(keys):
        if key not in segments:
            raise InvalidFlagsError(path, f"there is no segment {key!r}")
