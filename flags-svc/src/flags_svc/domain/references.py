"""What items need of each other, and how it is kept whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from flags_svc.domain.flag import Environment, InEnvironment, ManagedFlag
from flags_svc.domain.world import Edit, Item, ItemKind, World
from windsock.flags.definition import All, Clause, Condition, InSegment, Not, Segment


def segments_in(clause: Clause) -> Iterator[str]:
    """Return the segments that a clause asks for, those in it too."""
    if isinstance(clause, InSegment):
        yield clause.segment
    elif isinstance(clause, Not):
        yield from segments_in(clause.clause)
    elif not isinstance(clause, Condition):
        for each in clause.clauses:
            yield from segments_in(each)


def place_in(clause: Clause, segment: str, path: str) -> str:
    """Return where below ``path`` a clause asks for a segment, which it must."""
    if isinstance(clause, InSegment):
        return f"{path}.segment"
    assert not isinstance(clause, Condition)
    if isinstance(clause, Not):
        parts = [(f"{path}.not", clause.clause)]
    else:
        name = "all" if isinstance(clause, All) else "any"
        parts = [(f"{path}.{name}[{index}]", each) for index, each in enumerate(clause.clauses)]
    return next(
        place_in(each, segment, place) for place, each in parts if segment in segments_in(each)
    )


def segments_of_segment(segment: Segment) -> frozenset[str]:
    """Return the segments that a segment is made of."""
    return frozenset() if segment.when is None else frozenset(segments_in(segment.when))


def segments_of_rules(what: InEnvironment) -> frozenset[str]:
    """Return the segments that a flag asks for in one environment."""
    return frozenset(name for rule in what.rules for name in segments_in(rule.when))


def prerequisites_of(flag: ManagedFlag) -> frozenset[str]:
    """Return the flags that a flag asks for."""
    return frozenset(each.flag for each in flag.prerequisites)


class Preview:
    """The items of a world as they would be after some edits, of which the last of an item counts."""

    def __init__(self, world: World, edits: Iterable[Edit]) -> None:
        self._world = world
        self.edited: dict[tuple[ItemKind, str], Item | None] = {
            (edit.kind, edit.key): edit.item for edit in edits
        }

    def flag(self, key: str) -> ManagedFlag | None:
        """Return a flag, archived ones too."""
        if ("flag", key) not in self.edited:
            stored = self._world.flags.get(key)
            return None if stored is None else stored.item
        found = self.edited["flag", key]
        assert found is None or isinstance(found, ManagedFlag)
        return found

    def segment(self, key: str) -> Segment | None:
        """Return a segment."""
        if ("segment", key) not in self.edited:
            stored = self._world.segments.get(key)
            return None if stored is None else stored.item
        found = self.edited["segment", key]
        assert found is None or isinstance(found, Segment)
        return found

    def environment(self, name: str) -> Environment | None:
        """Return an environment."""
        if ("environment", name) not in self.edited:
            stored = self._world.environments.get(name)
            return None if stored is None else stored.item
        found = self.edited["environment", name]
        assert found is None or isinstance(found, Environment)
        return found

    def flags(self) -> Iterator[ManagedFlag]:
        """Return all flags, by key."""
        for key in self._keys("flag", self._world.flags):
            if (flag := self.flag(key)) is not None:
                yield flag

    def segments(self) -> Iterator[Segment]:
        """Return all segments, by key."""
        for key in self._keys("segment", self._world.segments):
            if (segment := self.segment(key)) is not None:
                yield segment

    def environments(self) -> list[str]:
        """Return the names of all environments."""
        names = self._keys("environment", self._world.environments)
        return [name for name in names if self.environment(name) is not None]

    def _keys(self, kind: ItemKind, held: Iterable[str]) -> list[str]:
        return sorted({*held, *(key for found, key in self.edited if found == kind)})


def cycle_in(starts: Iterable[str], needs: Callable[[str], Iterable[str]]) -> list[str]:
    """Return a way along ``needs`` that comes back to its beginning, nothing if ``starts`` lead to none.

    Each key is looked at once, however many lead to it.
    """
    done: set[str] = set()
    for start in starts:
        # The way to where we are, in order, with what is still to be tried at each place.
        way: dict[str, Iterator[str]] = {}
        following: str | None = start
        while following is not None:
            if following in way:
                keys = [*way]
                return [*keys[keys.index(following) :], following]
            if following not in done:
                way[following] = iter(sorted(needs(following)))
            following = None
            while way and following is None:
                at = next(reversed(way))
                following = next(way[at], None)
                if following is None:
                    done.add(at)
                    del way[at]
    return []


def longest_way(starts: Iterable[str], needs: Callable[[str], Iterable[str]]) -> int:
    """Return how many keys the longest way along ``needs`` has, which must not come back to where it was."""
    lengths: dict[str, int] = {}
    waiting = [*starts]
    while waiting:
        at = waiting[-1]
        following = [*needs(at)]
        unknown = [each for each in following if each not in lengths]
        if unknown:
            waiting += unknown
            continue
        lengths[at] = 1 + max((lengths[each] for each in following), default=0)
        waiting.pop()
    return max(lengths.values(), default=0)
