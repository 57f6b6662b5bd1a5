"""What happened to flags, segments and environments, as it is told."""

from __future__ import annotations

from typing import Any

from flags_svc.domain.deciding import name_of
from flags_svc.domain.difference import difference
from flags_svc.domain.documents import item_document
from flags_svc.domain.times import instant
from flags_svc.domain.world import Change, Item

Document = dict[str, Any]


def entry(change: Change, before: Item | None) -> Document:
    """Return a change with what it made different from ``before``."""
    return {**_told(change), "diff": difference(before, change.edit.item)}


def version_view(change: Change) -> Document:
    """Return a change with the item as it made it; ``None`` where it was deleted."""
    item = change.edit.item
    return {**_told(change), "item": None if item is None else item_document(item)}


def _told(change: Change) -> Document:
    edit, author = change.edit, change.author
    return {
        "kind": edit.kind,
        "key": edit.key if edit.item is None else name_of(edit.item),
        "version": change.version,
        "revision": change.revision,
        "at": instant(change.at),
        "author": author.name,
        "comment": author.comment,
        "request": author.request or None,
        "action": edit.action,
    }
