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
    """Edits that others must agree to. ``revision`` is the last one that applying it has made.

    ``needed`` is how many had to when it was decided. Of an open one it is the most that had to at
    any time when somebody asked for it or agreed; how many must now, ``needed_now`` says.
    """

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
        """Whether as many others agree as had to when they did; fewer may be enough by now."""
        return self.approvals >= self.needed


class TooFewError(ConflictError):
    """More others must agree."""

    def __init__(self, needed: int, approvals: int) -> None:
        super().__init__(f"{needed} others must agree by now, and {approvals} do")
        self.needed = needed


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
    """Return what is to be done; raises ``TooFewError`` if more must agree by now, else as ``edits_of`` does."""
    needed = needed_now(world, request)
    if request.approvals < needed:
        raise TooFewError(needed, request.approvals)
    return edits_of(world, request)


def needed_now(world: World, request: ChangeRequest) -> int:
    """Return how many others must agree today: one at least, as it is applied when somebody agrees."""
    needed = needs_approval(world, [each.edit for each in request.wanted])
    return max(needed.values(), default=1)


def _version(world: World, kind: ItemKind, key: str) -> int:
    parts: Mapping[ItemKind, Mapping[str, Stored[Any]]] = {
        "flag": world.flags,
        "segment": world.segments,
        "environment": world.environments,
    }
    stored = parts[kind].get(key)
    return 0 if stored is None else stored.version
