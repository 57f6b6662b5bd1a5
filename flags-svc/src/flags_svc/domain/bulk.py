"""Many items in one go: what is exported, and imported again here or elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from flags_svc.domain.checking import checked
from flags_svc.domain.deciding import Decide, edit_of, kind_of, name_of, part_of
from flags_svc.domain.documents import item_document, item_of
from flags_svc.domain.fields import fields_of, list_of
from flags_svc.domain.names import check_free
from flags_svc.domain.world import Edit, Item, ItemKind, World
from windsock_kit.errors import ConflictError, InvalidError

_MEMBERS: tuple[tuple[str, ItemKind], ...] = (
    ("environments", "environment"),
    ("segments", "segment"),
    ("flags", "flag"),
)
MAX_ITEMS = 20_000
_MAX_NAMED = 10


class OnConflict(StrEnum):
    """What becomes of an item that is there already."""

    REPLACE = "replace"
    SKIP = "skip"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Given:
    """An item with its place in what was sent."""

    item: Item
    path: str


def export(world: World) -> dict[str, Any]:
    """Return everything as ``items_of`` reads it, by key."""
    return {
        name: [
            item_document(part_of(world, kind)[key].item) for key in sorted(part_of(world, kind))
        ]
        for name, kind in _MEMBERS
    }


def items_of(value: object) -> list[Given]:
    """Return the items of a document, environments first; raises ``InvalidError``."""
    fields = fields_of(value, "", [name for name, _ in _MEMBERS], ("revision", "epoch", "at"))
    given: list[Given] = []
    seen: set[tuple[str, str]] = set()
    for name, kind in _MEMBERS:
        for path, each in list_of(fields.get(name, []), name, MAX_ITEMS):
            item = item_of(kind, each, path)
            if (kind, name_of(item)) in seen:
                raise InvalidError(f"{kind} {name_of(item)} is there twice", path=path)
            seen.add((kind, name_of(item)))
            given.append(Given(item, path))
    return given


def import_items(given: Sequence[Given], on_conflict: OnConflict = OnConflict.REPLACE) -> Decide:
    """Return the decision to make or replace items, all or none; what is not among them stays as it is."""

    def decide(world: World) -> Sequence[Edit]:
        edits: list[Edit] = []
        paths: list[str] = []
        held: list[str] = []
        for each in given:
            kind, key = kind_of(each.item), name_of(each.item)
            stored = part_of(world, kind).get(key)
            if stored is None and kind == "flag":
                check_free(key, f"{each.path}.key")
            if stored is not None and on_conflict is not OnConflict.REPLACE:
                held.append(f"{kind} {key}")
                continue
            before = None if stored is None else stored.item
            made = edit_of(kind, key, before, each.item, "import")
            edits += made
            paths += [each.path] * len(made)
        if held and on_conflict is OnConflict.REFUSE:
            raise ConflictError(
                f"{', '.join(held[:_MAX_NAMED])}"
                f"{' and others' if len(held) > _MAX_NAMED else ''} exist already",
                extra={"existing": held[:100]},
            )
        return checked(world, edits, paths)

    return decide
