"""Which changes others must agree to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import orjson

from flags_svc.domain.documents import in_environment_document
from flags_svc.domain.flag import Environment, InEnvironment, ManagedFlag
from flags_svc.domain.references import segments_of_rules, segments_of_segment
from flags_svc.domain.world import Edit, World
from windsock.flags import writing

# What ends a danger waits for nobody.
KILL = "disable"
_NOTHING = InEnvironment()


def needs_approval(world: World, edits: Iterable[Edit]) -> Mapping[str, int]:
    """Return how many others must agree, by protected environment in which the edits change what flags do.

    Empty: nobody needs to. A flag that is made and gives everybody ``false`` changes nothing,
    and to disable one is always free.
    """
    serious = [edit for edit in edits if edit.action != KILL]
    return {
        name: stored.item.approvals
        for name, stored in world.environments.items()
        if stored.item.approvals > 0 and any(_concerns(world, edit, name) for edit in serious)
    }


def _concerns(world: World, edit: Edit, environment: str) -> bool:
    if edit.kind == "environment":
        return edit.key == environment and _protects_less(world, edit)
    if edit.kind == "segment":
        return _uses_segment(world, edit.key, environment)
    stored = world.flags.get(edit.key)
    before = None if stored is None else stored.item
    assert edit.item is None or isinstance(edit.item, ManagedFlag)
    if before is None and not _does_anything(edit.item, environment):
        return False
    return _written(before, environment) != _written(edit.item, environment)


def _protects_less(world: World, edit: Edit) -> bool:
    if edit.item is None:
        return True
    assert isinstance(edit.item, Environment)
    return edit.item.approvals < world.environments[edit.key].item.approvals


def _uses_segment(world: World, key: str, environment: str) -> bool:
    """Return whether a flag in an environment goes by a segment, or by one that is made of it."""
    using, waiting = {key}, [key]
    while waiting:
        at = waiting.pop()
        for name, stored in world.segments.items():
            if name not in using and at in segments_of_segment(stored.item):
                using.add(name)
                waiting.append(name)
    return any(
        not using.isdisjoint(segments_of_rules(stored.item.environments[environment]))
        for stored in world.flags.values()
        if not stored.item.archived and environment in stored.item.environments
    )


def _does_anything(flag: ManagedFlag | None, environment: str) -> bool:
    if flag is None or flag.archived:
        return False
    what = flag.environments.get(environment, _NOTHING)
    if what.enabled or any(step.done_at is None for step in what.schedule):
        return True
    # A disabled flag gives its off variant, to who had the caller's default so far.
    return flag.variants[flag.off_variant] is not False


def _written(flag: ManagedFlag | None, environment: str) -> bytes:
    """Return all that decides what a flag gives in an environment, now or later."""
    if flag is None or flag.archived:
        return b""
    parts = (
        *(flag.type, flag.variants, flag.default_variant, flag.off_variant),
        *(flag.salt, flag.rollout_salt, flag.bucket_by),
        [writing.prerequisite_document(each) for each in flag.prerequisites],
        in_environment_document(flag.environments.get(environment, _NOTHING)),
    )
    return orjson.dumps(parts)
