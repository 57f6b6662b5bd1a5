"""What all decisions have in common: what is there, at which version, and whether anything changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import orjson

from flags_svc.domain.documents import item_document
from flags_svc.domain.flag import Environment, ManagedFlag
from flags_svc.domain.world import Edit, Item, ItemKind, Stored, World
from windsock.flags.definition import Segment
from windsock_kit.errors import NotFoundError
from windsock_kit.preconditions import changed_since

Decide: TypeAlias = Callable[[World], Sequence[Edit]]
T = TypeVar("T", ManagedFlag, Segment, Environment)


def held(part: Mapping[str, Stored[T]], kind: ItemKind, key: str, expected: int | None = None) -> T:
    """Return what is there; raises ``NotFoundError``, ``PreconditionFailedError`` at another version than ``expected``."""
    stored = part.get(key)
    if stored is None:
        raise NotFoundError(f"there is no {kind} {key}")
    if expected is not None and stored.version != expected:
        raise changed_since(f"{kind} {key}", stored.version)
    return stored.item


def edit_of(
    kind: ItemKind, key: str, before: Item | None, after: Item, action: str
) -> Sequence[Edit]:
    """Return the edit that makes ``after`` of ``before``, none if they are the same."""
    if before is not None and same(before, after):
        return []
    return [Edit(kind, key, after, action)]


def same(one: Item, other: Item) -> bool:
    """Return whether two items are the same, to the order of a split and the point of a float."""
    return one is other or written(one) == written(other)


def written(item: Item) -> bytes:
    """Return an item as JSON."""
    return orjson.dumps(item_document(item))


def kind_of(item: Item) -> ItemKind:
    """Return what an item is."""
    if isinstance(item, ManagedFlag):
        return "flag"
    return "segment" if isinstance(item, Segment) else "environment"


def name_of(item: Item) -> str:
    """Return the key of a flag or segment, the name of an environment."""
    return item.name if isinstance(item, Environment) else item.key


def part_of(world: World, kind: ItemKind) -> Mapping[str, Stored[Any]]:
    """Return the items of a kind."""
    if kind == "flag":
        return world.flags
    return world.segments if kind == "segment" else world.environments
