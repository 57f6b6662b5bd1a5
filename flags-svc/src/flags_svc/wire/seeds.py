"""The flags that a new suite begins with."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

import msgspec

from flags_svc.domain.bulk import import_items, items_of
from flags_svc.domain.world import Edit, World
from flags_svc.ports import Decide


def seed() -> Decide:
    """Return the decision to make the first flags, unless there has been anything before."""
    text = files("flags_svc").joinpath("seeds", "flags.json").read_bytes()
    fill = import_items(items_of(msgspec.json.decode(text)))

    def decide(world: World) -> Sequence[Edit]:
        return fill(world) if world.revision == 0 else []

    return decide
