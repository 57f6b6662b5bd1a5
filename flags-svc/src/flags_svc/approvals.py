"""The way of people's changes past those who must agree to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from flags_svc.domain.approval import needs_approval
from flags_svc.domain.change_request import (
    ChangeRequest,
    Status,
    TooFewError,
    Wanted,
    agreed,
    check_may_agree,
    check_open,
    needed_now,
    wanted,
)
from flags_svc.domain.world import Author, Change, Edit, World
from flags_svc.ports import Decide, Editor
from flags_svc.store.change_requests import ChangeRequests
from windsock_kit.errors import ConflictError, ServiceError, UnavailableError
from windsock_kit.postgres import unavailable

log = structlog.get_logger(__name__)

# Sooner than anybody would look whether it has come into force.
FINISH_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a wish: ``changes`` are in force, ``request`` waits for others, or has just been decided."""

    changes: Sequence[Change] = ()
    request: ChangeRequest | None = None


class _OthersMustAgreeError(ConflictError):
    """Not to be done by one alone; it is a refusal to the editor, which makes sure that it holds of the newest world."""

    def __init__(self, asked: tuple[Wanted, ...], needed: int) -> None:
        super().__init__("others must agree")
        self.asked = asked
        self.needed = needed


class Approvals:
    """Does what may be done at once, and keeps the rest until enough others agree."""

    def __init__(self, editor: Editor, requests: ChangeRequests) -> None:
        self._editor = editor
        self._requests = requests
        # Why requests that enough agree to are not applied, as told in the log: once each.
        self._refused: Mapping[str, str] = {}

    async def edit(self, decide: Decide, author: Author) -> Outcome:
        """Do what ``decide`` says, or ask for it if it changes a protected environment."""

        def allowed(world: World) -> Sequence[Edit]:
            edits = decide(world)
            needed = needs_approval(world, edits)
            if needed:
                raise _OthersMustAgreeError(wanted(world, edits), max(needed.values()))
            return edits

        try:
            return Outcome(await self._editor.edit(allowed, author))
        except _OthersMustAgreeError as refused:
            held = refused
        with unavailable():
            made = await self._requests.create(held.asked, author=author, needed=held.needed)
        return Outcome(request=made)

    async def approve(self, request: str, voter: Author) -> Outcome:
        """Note that somebody agrees, and apply the request once as many do as must today.

        Raises ``StaleRequestError`` if its items have changed meanwhile; it stays open then, to be
        withdrawn.
        """
        with unavailable():
            check_may_agree(await self._requests.get(request), voter.name)
            held = await self._requests.vote(request, voter, agrees=True)
        try:
            return await self._apply(held)
        except TooFewError as few:
            with unavailable():
                return Outcome(request=await self._requests.note_needed(request, few.needed))

    async def finish(self) -> None:
        """Apply what enough others agree to, and whoever was to apply it has not.

        Enough are as many as had to when they agreed, and as must today. A request that was short
        of votes does not come into force by itself because its environment is protected less by
        now: nobody has looked at it since. It does as soon as somebody agrees, again if need be.
        """
        try:
            with unavailable():
                left = await self._requests.left()
        except UnavailableError:
            return
        refused = {}
        for request in left:
            try:
                await self._apply(request)
            except ServiceError as error:
                refused[request.id] = error.detail
                if self._refused.get(request.id) != error.detail:
                    log.info("request_not_applied", request=request.id, reason=error.detail)
            else:
                log.warning("request_applied_late", request=request.id)
        self._refused = refused

    async def reject(self, request: str, voter: Author) -> ChangeRequest:
        """Note that somebody does not agree, which is the end of the request; its author withdraws it so."""
        with unavailable():
            held = await self._requests.get(request)
            check_open(held)
            if voter.name == held.author.name:
                return await self._requests.close(request, Status.WITHDRAWN)
            await self._requests.vote(request, voter, agrees=False)
            return await self._requests.close(request, Status.REJECTED)

    async def _apply(self, request: ChangeRequest) -> Outcome:
        author = replace(request.author, request=request.id)
        needed = request.needed

        def decide(world: World) -> Sequence[Edit]:
            nonlocal needed
            needed = needed_now(world, request)
            return agreed(world, request)

        try:
            changes = await self._editor.edit(decide, author)
        except ConflictError:
            with unavailable():
                now = await self._requests.get(request.id)
            # Another process has applied it in the same moment.
            if now.status is not Status.APPLIED:
                raise
            return Outcome(request=now)
        with unavailable():
            return Outcome(changes, await self._requests.note_needed(request.id, needed))
