"""Change requests as they are told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flags_svc.domain.change_request import (
    ChangeRequest,
    Status,
    Vote,
    Wanted,
    needed_now,
    stale,
)
from flags_svc.domain.deciding import part_of
from flags_svc.domain.difference import difference
from flags_svc.domain.documents import item_document
from flags_svc.domain.times import instant
from flags_svc.domain.world import Edit, Item, ItemKind, World

Document = dict[str, Any]
# Items by kind, key and version.
Versions = Mapping[tuple[ItemKind, str, int], Item | None]


def versions_of(requests: Iterable[ChangeRequest]) -> set[tuple[ItemKind, str, int]]:
    """Return of which versions the views of requests tell the difference: those that decided ones were made for."""
    return {
        (each.edit.kind, each.edit.key, each.version)
        for request in requests
        if request.status is not Status.OPEN
        for each in request.wanted
        if each.version
    }


def request_view(request: ChangeRequest, world: World, versions: Versions) -> Document:
    """Return a request with what it would make of each item, and how that differs from what is.

    What is decided differs from what was when it was asked for, which is among ``versions``.
    """
    is_open = request.status is Status.OPEN
    return {
        "id": request.id,
        "status": request.status.value,
        "author": request.author.name,
        "comment": request.author.comment,
        "stale": is_open and bool(stale(world, request)),
        "needed": needed_now(world, request) if is_open else request.needed,
        "approvals": request.approvals,
        "votes": [_vote(each) for each in request.votes],
        "changes": [
            {
                "kind": each.edit.kind,
                "key": each.edit.key,
                "action": each.edit.action,
                "version": each.version,
                "diff": _difference(each.edit, world) if is_open else _made(each, versions),
                "item": None if each.edit.item is None else item_document(each.edit.item),
            }
            for each in request.wanted
        ],
        "created_at": instant(request.created_at),
        "decided_at": None if request.decided_at is None else instant(request.decided_at),
        "revision": request.revision,
    }


def _difference(edit: Edit, world: World) -> list[Document]:
    stored = part_of(world, edit.kind).get(edit.key)
    return difference(None if stored is None else stored.item, edit.item)


def _made(wanted: Wanted, versions: Versions) -> list[Document] | None:
    """Return what was asked for; ``None`` if nothing is known any more of what was before."""
    if not wanted.version:
        return difference(None, wanted.edit.item)
    version = (wanted.edit.kind, wanted.edit.key, wanted.version)
    return difference(versions[version], wanted.edit.item) if version in versions else None


def _vote(vote: Vote) -> Document:
    return {
        "name": vote.name,
        "agrees": vote.agrees,
        "comment": vote.comment,
        "at": instant(vote.at),
    }
