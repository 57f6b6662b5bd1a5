"""Changes as they travel between processes and are kept: what was committed, with its author and the new item whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from flags_svc.domain.documents import item_document, item_of
from flags_svc.domain.world import Author, Change, Edit, ItemKind
from windsock_kit.errors import InvalidError

Document = dict[str, Any]


def edit_document(edit: Edit) -> Document:
    """Return an edit as ``edit_of`` reads it; the order of members counts."""
    return {
        "kind": edit.kind,
        "key": edit.key,
        "action": edit.action,
        "item": None if edit.item is None else item_document(edit.item),
    }


def edit_of(value: Mapping[str, Any]) -> Edit:
    """Return an edit from its document; raises ``InvalidError`` for an item that is none."""
    kind: ItemKind = value["kind"]
    if kind not in get_args(ItemKind):
        raise InvalidError(f"there is no kind {kind!r} of items", path="kind")
    item = value["item"]
    return Edit(
        kind,
        value["key"],
        None if item is None else item_of(kind, item, "item", value["key"]),
        value["action"],
    )


def change_document(change: Change) -> Document:
    """Return a change as ``change_of`` reads it; ``at`` is in seconds since 1970."""
    return {
        "revision": change.revision,
        "version": change.version,
        "at": change.at,
        "author": change.author.name,
        "comment": change.author.comment,
        **edit_document(change.edit),
    }


def change_of(value: Mapping[str, Any]) -> Change:
    """Return a change from its document, which one of our processes has written."""
    return Change(
        value["revision"],
        value["version"],
        value["at"],
        Author(value["author"], value["comment"]),
        edit_of(value),
    )
