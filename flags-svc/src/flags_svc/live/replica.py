"""The configuration as this process knows it, kept up to date change by change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import structlog

from flags_svc.domain.world import Change, GapError, World
from flags_svc.live.event_id import EventId
from flags_svc.live.in_force import InForce
from flags_svc.live.recent import REVISIONS, Recent
from flags_svc.ports import Configuration, Head
from windsock.flags.evaluation import CompiledSet
from windsock_kit.errors import NotFoundError, UnavailableError

log = structlog.get_logger(__name__)

# What is told whenever something else is in force: by these changes, or by others than are known.
Watcher: TypeAlias = Callable[[Sequence[Change]], None]


class Replica:
    """Implements ``ports.Live``.

    All but ``catch_up`` is done at once, within the event loop, so that nobody sees a state in
    between. ``watchers`` are called after each step on; they must not fail and not wait.
    """

    def __init__(self, configuration: Configuration) -> None:
        self.watchers: list[Watcher] = []
        # Whether the database has told it, and not only a file.
        self.confirmed = False
        self._configuration = configuration
        self._world: World | None = None
        self._event_id = ""
        self._in_force: Mapping[str, InForce] = {}
        self._recent = Recent(0)
        self._turn = asyncio.Lock()

    @property
    def known(self) -> bool:
        """Whether there is a world at all."""
        return self._world is not None

    @property
    def world(self) -> World:
        """The newest world known; raises ``UnavailableError`` as long as there is none."""
        if self._world is None:
            raise UnavailableError("the flags have not been read yet", retry_after=1.0)
        return self._world

    @property
    def revision(self) -> int:
        """The revision of the world."""
        return self.world.revision

    @property
    def position(self) -> EventId:
        """The world's epoch and revision."""
        return EventId(self.world.epoch, self.world.revision)

    @property
    def event_id(self) -> str:
        """The same as events carry it."""
        if not self._event_id:
            self._event_id = str(self.position)
        return self._event_id

    @property
    def recent(self) -> Recent:
        """What the last revisions touched."""
        return self._recent

    def in_force(self, environment: str) -> InForce:
        """Return what is in force in ``environment``; raises ``NotFoundError`` that names those there are."""
        found = self._in_force.get(environment)
        if found is None:
            names = sorted(self.world.environments)
            raise NotFoundError(f"there is no environment {environment[:100]!r}", allowed=names)
        return found

    def compiled(self, environment: str) -> CompiledSet:
        """Return the flags of ``environment``, ready to be evaluated; raises as ``in_force`` does."""
        return self.in_force(environment).compiled

    def apply(self, epoch: str, changes: Sequence[Change]) -> None:
        """Put changes in force that follow on the world; what is known already is passed over. Raises ``GapError``."""
        before = self._world
        if before is None or before.epoch != epoch:
            raise GapError(f"nothing is known of epoch {epoch}")
        news = [change for change in changes if change.revision > before.revision]
        if not news:
            return
        world = before.after(news)
        self._in_force = self._stepped(world, news)
        self._world = world
        self._event_id = ""
        self._recent.note(news)
        self._tell(news)

    def restore(self, world: World) -> None:
        """Take what was known when a process last wrote it down; only as long as nothing is known."""
        if self._world is None:
            self._adopt(world, _all_in_force(world))

    async def catch_up(self, seen: EventId | None = None) -> None:
        """Read from the database what is missing. Raises the database's own faults.

        A database that is not as far as this process, or as what somebody else has ``seen``, was
        put back to an older state. It then begins another epoch, or the revisions to come would be
        taken for those that were lost.
        """
        async with self._turn:
            known = self._world
            if known is None:
                await self._load()
            if known is not None or seen is not None:
                await self._follow(self.world, seen)
            self.confirmed = True

    async def _follow(self, known: World, seen: EventId | None) -> None:
        head = await self._head(known, seen)
        if head.epoch != known.epoch:
            log.warning("database_is_another", revision=known.revision, head=head.revision)
            await self._load(anyway=True)
            return
        if head.revision - known.revision > REVISIONS:
            await self._load()
            return
        while self.revision < head.revision:
            changes = await self._configuration.since(self.revision, limit=REVISIONS)
            try:
                self.apply(head.epoch, changes)
            except GapError:
                changes = []
            if not changes:
                # Its history is shorter than its configuration.
                await self._load()
                return

    async def _head(self, known: World, seen: EventId | None) -> Head:
        """Return how far the database is, in an epoch that has lost nothing."""
        others = seen.revision if seen is not None and seen.epoch == known.epoch else 0
        furthest = max(known.revision, others)
        head = await self._configuration.head()
        while head.epoch == known.epoch and head.revision < furthest:
            log.warning("database_has_gone_back", revision=furthest, head=head.revision)
            await self._configuration.begin_anew(head)
            head = await self._configuration.head()
        return head

    async def _load(self, *, anyway: bool = False) -> None:
        """Read everything; what has been told meanwhile stays, unless what is known is wrong ``anyway``."""
        world = await self._configuration.load()
        # It takes a while, and others want answers meanwhile.
        in_force = await asyncio.to_thread(_all_in_force, world)
        now = self._world
        if anyway or now is None or now.epoch != world.epoch or now.revision < world.revision:
            self._adopt(world, in_force)

    def _adopt(self, world: World, in_force: Mapping[str, InForce]) -> None:
        self._world = world
        self._event_id = ""
        self._in_force = in_force
        self._recent = Recent(world.revision)
        self._tell([])

    def _stepped(self, world: World, news: Sequence[Change]) -> Mapping[str, InForce]:
        touched = {(change.edit.kind, change.edit.key) for change in news}
        return {
            name: self._in_force[name].after(world, name, touched)
            if name in self._in_force
            else InForce.of(world, name)
            for name in world.environments
        }

    def _tell(self, changes: Sequence[Change]) -> None:
        for watcher in self.watchers:
            watcher(changes)


def _all_in_force(world: World) -> Mapping[str, InForce]:
    return {name: InForce.of(world, name) for name in world.environments}
