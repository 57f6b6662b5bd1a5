"""Worlds to decide on, made as the store makes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flags_svc.domain.deciding import Decide, part_of
from flags_svc.domain.documents import flag_of, segment_of
from flags_svc.domain.flag import Environment, InEnvironment, ManagedFlag
from flags_svc.domain.world import Author, Change, Edit, Item, World
from windsock.flags.definition import Segment

ANN = Author("ann", "because")
ENVIRONMENTS = ("production", "staging")


def flag(key: str = "new", **fields: Any) -> ManagedFlag:
    """Return a boolean flag, with what is given beside."""
    return flag_of({"key": key, "type": "boolean", **fields})


def rolled(key: str = "new", environment: str = "production", **fields: Any) -> ManagedFlag:
    """Return a flag that is enabled in one environment, with what is given there."""
    return flag(key, environments={environment: {"enabled": True, **fields}})


def segment(key: str = "staff", **fields: Any) -> Segment:
    """Return a segment."""
    return segment_of({"key": key, **fields})


def by_segment(key: str) -> dict[str, Any]:
    """Return a rule that goes by a segment."""
    return {"when": {"segment": key}, "serve": {"variant": "on"}}


def world(*items: Item, protected: Mapping[str, int] | None = None) -> World:
    """Return a world with two environments and ``items``; ``protected`` says how many must agree."""
    approvals = protected or {}
    made = [Environment(name, approvals=approvals.get(name, 0)) for name in ENVIRONMENTS]
    return after(World("epoch"), lambda _: [_made(item) for item in (*made, *items)])


def after(before: World, decide: Decide, at: float = 100.0) -> World:
    """Return the world after a decision."""
    return before.after(changes(before, decide, at))


def changes(before: World, decide: Decide, at: float = 100.0) -> list[Change]:
    """Return what a decision makes."""
    found: list[Change] = []
    versions: dict[tuple[str, str], int] = {}
    for edit in decide(before):
        stored = part_of(before, edit.kind).get(edit.key)
        name = (edit.kind, edit.key)
        versions[name] = versions.get(name, 0 if stored is None else stored.version) + 1
        found.append(Change(before.revision + len(found) + 1, versions[name], at, ANN, edit))
    return found


def in_environment(of: World, key: str = "new", environment: str = "production") -> InEnvironment:
    """Return what a flag does in an environment."""
    return of.flags[key].item.environments[environment]


def _made(item: Item) -> Edit:
    if isinstance(item, ManagedFlag):
        return Edit("flag", item.key, item, "create")
    if isinstance(item, Segment):
        return Edit("segment", item.key, item, "create")
    return Edit("environment", item.name, item, "create")
