"""A change that waits for others to agree, because it concerns a protected environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from flags_svc.domain.approval import needs_approval
from flags_svc.domain.checking import checked
from flags_svc.domain.world import ANONYMOUS, Author, Edit, ItemKind, Stored, World
from windsock_kit.errors import ConflictError


class Status(StrEnum):
    """How far a change request is."""

    OPEN = "open"
    APPLIED = "applied"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class StaleRequestError(ConflictError):
    """What was to be changed has changed since."""

    code = "stale"


@dataclass(frozen=True, slots=True)
class Wanted:
    """An edit, and at which version the item was when it was asked for; 0 if it was not there."""

    edit: Edit
    version: int


@dataclass(frozen=True, slots=True)
class Vote:
    """What somebody thinks of it; ``at`` in seconds since 1970."""

    name: str
    agrees: bool
    comment: str
    at: float


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """Edits that ``needed`` others must agree to. ``revision`` is the last one that applying it has made."""

    id: str
    author: Author
    needed: int
    wanted: tuple[Wanted, ...]
    created_at: float
    status: Status = Status.OPEN
    votes: tuple[Vote, ...] = ()
    decided_at: float | None = None
    revision: int | None = None

    @property
    def approvals(self) -> int:
        """How many others agree."""
        names = {vote.name.casefold() for vote in self.votes if vote.agrees}
        return len(names - {self.author.name.casefold()})

    @property
    def enough(self) -> bool:
        """Whether enough others agree."""
        return self.approvals >= self.needed


def wanted(world: World, edits: Sequence[Edit]) -> tuple[Wanted, ...]:
    """Return edits with the versions that they were decided on."""
    return tuple(Wanted(edit, _version(world, edit.kind, edit.key)) for edit in edits)


def stale(world: World, request: ChangeRequest) -> Sequence[Edit]:
    """Return the edits whose items have changed since they were asked for."""
    return [
        each.edit
        for each in request.wanted
        if _version(world, each.edit.kind, each.edit.key) != each.version
    ]


def edits_of(world: World, request: ChangeRequest) -> Sequence[Edit]:
    """Return what is to be done; raises ``StaleRequestError``, and what ``checked`` does."""
    moved = stale(world, request)
    if moved:
        names = ", ".join(f"{edit.kind} {edit.key}" for edit in moved[:10])
        raise StaleRequestError(f"changed since this was asked for: {names}; ask for it anew")
    return checked(world, [each.edit for each in request.wanted])


def check_open(request: ChangeRequest) -> None:
    """Raise ``ConflictError`` unless it is still to be decided."""
    if request.status is not Status.OPEN:
        raise ConflictError(f"the change request is {request.status} already")


def check_may_agree(request: ChangeRequest, name: str) -> None:
    """Raise ``ConflictError`` for who asked for it, or does not say who they are: others must agree."""
    check_open(request)
    if name.casefold() == request.author.name.casefold():
        raise ConflictError(f"{name} asked for it; somebody else must agree")
    if name == ANONYMOUS:
        raise ConflictError("whoever agrees must say who they are, by X-Windsock-Actor")


def agreed(world: World, request: ChangeRequest) -> Sequence[Edit]:
    """Return what is to be done; raises as ``edits_of`` does, and ``ConflictError`` if more must agree by now."""
    edits = edits_of(world, request)
    needed = max(needs_approval(world, edits).values(), default=0)
    if request.approvals < needed:
        raise ConflictError(f"{needed} others must agree by now, and {request.approvals} do")
    return edits


def _version(world: World, kind: ItemKind, key: str) -> int:
    parts: Mapping[ItemKind, Mapping[str, Stored[Any]]] = {
        "flag": world.flags,
        "segment": world.segments,
        "environment": world.environments,
    }
    stored = parts[kind].get(key)
    return 0 if stored is None else stored.version
