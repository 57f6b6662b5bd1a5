"""Flags from elsewhere, which say what they do in one environment only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flags_svc.domain.bulk import Given
from flags_svc.domain.flag import ManagedFlag
from flags_svc.domain.world import World


def kept_elsewhere(world: World, given: Sequence[Given], environment: str) -> list[Given]:
    """Return the items with what present flags of the same keys do in other environments, and with who they belong to.

    Where the present flag is of another type, or has a variant that the new one lacks, nothing of it is kept.
    """
    return [
        replace(each, item=_kept(world, each.item, environment))
        if isinstance(each.item, ManagedFlag)
        else each
        for each in given
    ]


def _kept(world: World, flag: ManagedFlag, environment: str) -> ManagedFlag:
    stored = world.flags.get(flag.key)
    if stored is None or stored.item.type != flag.type:
        return flag
    if not stored.item.variants.keys() <= flag.variants.keys():
        return flag
    elsewhere = {
        name: what for name, what in stored.item.environments.items() if name != environment
    }
    environments = {**elsewhere, **flag.environments}
    return replace(
        flag,
        kind=stored.item.kind,
        lifetime_days=stored.item.lifetime_days,
        owner=flag.owner or stored.item.owner,
        description=flag.description or stored.item.description,
        tags=flag.tags or stored.item.tags,
        environments=dict(sorted(environments.items())),
    )
