"""The one way to change anything: decide on the newest world, commit if it still is, tell everybody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import structlog

from flags_svc.domain.world import Author, Change, Edit, GapError, World
from flags_svc.ports import Configuration, Decide, Live, MovedOnError
from windsock_kit.errors import ServiceError, UnavailableError
from windsock_kit.postgres import unavailable

log = structlog.get_logger(__name__)

# Of all who decided on one revision one gets through, so each round brings somebody further.
ATTEMPTS = 100
# How long an edit waits for those before it: a database that does not answer holds up each of them in turn.
PATIENCE_SECONDS = 10.0


class Announcer(Protocol):
    """Tells other processes of what was committed; it fails nobody: they hear of it in other ways too."""

    async def announce(self, epoch: str, changes: Sequence[Change]) -> None: ...


class LiveEditor:
    """Implements ``ports.Editor``.

    Edits of one process wait for each other; only other processes can come in between.
    """

    def __init__(
        self,
        configuration: Configuration,
        live: Live,
        announcer: Announcer,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._configuration = configuration
        self._live = live
        self._announcer = announcer
        self._patience = patience_seconds
        self._lock = asyncio.Lock()

    async def edit(self, decide: Decide, author: Author) -> Sequence[Change]:
        """Commit what ``decide`` says, put it in force here, and tell everybody; returns after the commit.

        Raises ``UnavailableError`` while the database is away, and what ``decide`` raises. If the
        database goes away within the commit, nobody knows whether it was: try again.
        """
        async with self._turn():
            for _ in range(ATTEMPTS):
                changes = await self._attempt(decide, author)
                if changes is not None:
                    return changes
        raise UnavailableError("too many others are changing flags", retry_after=1.0)

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None]:
        try:
            async with asyncio.timeout(self._patience):
                await self._lock.acquire()
        except TimeoutError:
            raise UnavailableError("other changes are waiting too", retry_after=1.0) from None
        try:
            yield
        finally:
            self._lock.release()

    async def _attempt(self, decide: Decide, author: Author) -> Sequence[Change] | None:
        """Return what was committed, or ``None`` if somebody else came first.

        To refuse, and to find all as wished, holds only of the newest world: this one may lack
        what another process has just committed, and told its client.
        """
        world = self._live.world
        try:
            edits = decide(world)
        except ServiceError:
            if await self._is_newest(world):
                raise
            return None
        if not edits:
            return [] if await self._is_newest(world) else None
        try:
            changes = await self._commit(world, edits, author)
        except MovedOnError:
            await self._catch_up()
            return None
        await self._put_in_force(world.epoch, changes)
        return changes

    async def _is_newest(self, world: World) -> bool:
        """Return whether the database is no further; otherwise the live world now is."""
        with unavailable():
            head = await self._configuration.head()
        if (head.epoch, head.revision) == (world.epoch, world.revision):
            return True
        await self._catch_up()
        return False

    async def _commit(
        self, world: World, edits: Sequence[Edit], author: Author
    ) -> Sequence[Change]:
        with unavailable():
            return await self._configuration.commit(
                edits, epoch=world.epoch, base=world.revision, author=author
            )

    async def _catch_up(self) -> None:
        with unavailable():
            await self._live.catch_up()

    async def _put_in_force(self, epoch: str, changes: Sequence[Change]) -> None:
        """Apply what is committed; whatever fails here, it stays committed."""
        try:
            self._live.apply(epoch, changes)
        except GapError:
            log.warning("own_changes_do_not_follow", revision=changes[0].revision)
            try:
                await self._catch_up()
            except UnavailableError:
                log.warning("own_changes_come_later", revision=changes[-1].revision)
        await self._announcer.announce(epoch, changes)
