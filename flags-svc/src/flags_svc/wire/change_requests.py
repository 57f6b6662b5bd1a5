"""Change requests as they are told."""

from __future__ import annotations

from typing import Any

from flags_svc.domain.change_request import ChangeRequest, Status, Vote, stale
from flags_svc.domain.deciding import part_of
from flags_svc.domain.difference import difference
from flags_svc.domain.documents import item_document
from flags_svc.domain.times import instant
from flags_svc.domain.world import Edit, World

Document = dict[str, Any]


def request_view(request: ChangeRequest, world: World) -> Document:
    """Return a request with what it would make of each item, and how that differs from what is."""
    return {
        "id": request.id,
        "status": request.status.value,
        "author": request.author.name,
        "comment": request.author.comment,
        "stale": request.status is Status.OPEN and bool(stale(world, request)),
        "needed": request.needed,
        "approvals": request.approvals,
        "votes": [_vote(each) for each in request.votes],
        "changes": [
            {
                "kind": each.edit.kind,
                "key": each.edit.key,
                "action": each.edit.action,
                "version": each.version,
                "diff": _difference(each.edit, world) if request.status is Status.OPEN else None,
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


def _vote(vote: Vote) -> Document:
    return {
        "name": vote.name,
        "agrees": vote.agrees,
        "comment": vote.comment,
        "at": instant(vote.at),
    }
