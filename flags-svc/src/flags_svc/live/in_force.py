"""What is in force in one environment: ready to be evaluated, and ready to be sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from flags_svc.domain.projection import project, project_world
from flags_svc.domain.world import ItemKind, World
from windsock.flags.definition import Flag, Segment
from windsock.flags.evaluation import CompiledSet, compile_set
from windsock.flags.writing import flag_document, segment_document


@dataclass(frozen=True, slots=True)
class InForce:
    """The compiled flags of an environment, and each flag and segment as JSON by its key."""

    compiled: CompiledSet
    flags: dict[str, bytes]
    segments: dict[str, bytes]

    @classmethod
    def of(cls, world: World, environment: str) -> InForce:
        """Compile and encode everything; 10,000 flags take about a second."""
        found = project_world(world, environment)
        return cls(
            compile_set(found),
            {key: _encoded(flag) for key, flag in found.flags.items()},
            {key: _encoded(segment) for key, segment in found.segments.items()},
        )

    def after(
        self, world: World, environment: str, touched: Iterable[tuple[ItemKind, str]]
    ) -> InForce:
        """Return what is in force in ``world``, which differs in what was ``touched`` only."""
        flags: dict[str, Flag | None] = {}
        segments: dict[str, Segment | None] = {}
        for kind, key in touched:
            if kind == "flag":
                stored = world.flags.get(key)
                flags[key] = None if stored is None else project(stored.item, environment)
            elif kind == "segment":
                segments[key] = world.segments[key].item if key in world.segments else None
        if not flags and not segments:
            return self
        compiled = self.compiled.after(
            [flag for flag in flags.values() if flag is not None],
            [key for key, flag in flags.items() if flag is None],
            [segment for segment in segments.values() if segment is not None],
            [key for key, segment in segments.items() if segment is None],
        )
        return InForce(compiled, _after(self.flags, flags), _after(self.segments, segments))


def _after(
    encoded: dict[str, bytes], changed: dict[str, Flag | None] | dict[str, Segment | None]
) -> dict[str, bytes]:
    if not changed:
        return encoded
    after = dict(encoded)
    for key, item in changed.items():
        if item is None:
            after.pop(key, None)
        else:
            after[key] = _encoded(item)
    return after


def _encoded(item: Flag | Segment) -> bytes:
    return orjson.dumps(flag_document(item) if isinstance(item, Flag) else segment_document(item))
