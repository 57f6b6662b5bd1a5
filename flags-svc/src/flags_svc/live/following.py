"""Keeps a replica up with the database.

A change is heard of on Redis, with all that it says, and on PostgreSQL, which tells its number
only. Neither is needed: every few seconds the database is asked how far it is, and so it is
whenever there may have been something that nobody heard.
"""

from __future__ import annotations

import asyncio

import asyncpg
import structlog
from prometheus_client import CollectorRegistry

from flags_svc.domain.world import GapError
from flags_svc.instruments import Instruments
from flags_svc.live import messages
from flags_svc.live.event_id import EventId
from flags_svc.live.messages import UnreadableError
from flags_svc.live.replica import Replica
from windsock_kit.listening import Listen, postgres_channel, redis_channel
from windsock_kit.loops import PeriodicLoop
from windsock_kit.postgres import transient_errors

log = structlog.get_logger(__name__)

POSTGRES_CHANNEL = "flags_changed"
# PostgreSQL tells of a commit a little before Redis tells what it is, which saves asking.
GRACE_SECONDS = 0.01
_FAULTS: tuple[type[BaseException], ...] = (*transient_errors, asyncpg.InterfaceError)


class Following:
    """Has a replica catch up, by ``loop``, and whenever something is heard that it cannot apply."""

    def __init__(
        self,
        replica: Replica,
        instruments: Instruments,
        *,
        interval: float,
        registry: CollectorRegistry,
    ) -> None:
        self.loop = PeriodicLoop("reconcile", self.tick, interval=interval, registry=registry)
        self._replica = replica
        self._instruments = instruments
        self._away = False

    async def tick(self, seen: EventId | None = None) -> None:
        """Catch up, with what others have ``seen``; the database's absence is told once, and fails nobody: what is known goes on."""
        try:
            await self._replica.catch_up(seen)
        except _FAULTS as error:
            self._instruments.reconciliations.labels("away").inc()
            if not self._away:
                log.warning("database_away", error=type(error).__name__, message=str(error))
            self._away = True
            return
        self._instruments.reconciliations.labels("done").inc()
        if self._away:
            log.info("database_back")
        self._away = False

    def listens(self, database_url: str, redis_url: str) -> dict[str, Listen]:
        """Return what to listen to, by name."""
        found = {
            "postgres": postgres_channel(
                database_url,
                POSTGRES_CHANNEL,
                self.notified,
                application_name="flags-svc listener",
            )
        }
        if redis_url:
            found["redis"] = redis_channel(redis_url, messages.CHANNEL, self.told)
        return found

    def notified(self, payload: str) -> None:
        """Look soon if ``payload``, an epoch and a revision, is news."""
        epoch, _, revision = payload.partition(" ")
        asyncio.get_running_loop().call_later(GRACE_SECONDS, self._look_for, epoch, revision)

    def _look_for(self, epoch: str, revision: str) -> None:
        if not self._has(epoch, revision):
            self.loop.wake()

    def _has(self, epoch: str, revision: str) -> bool:
        if not self._replica.known or not revision.isdecimal():
            return False
        world = self._replica.world
        return world.epoch == epoch and world.revision >= int(revision)

    def told(self, body: bytes) -> None:
        """Apply what another process has committed; look at once if it does not follow on what is known."""
        try:
            epoch, changes = messages.read(body)
            self._replica.apply(epoch, changes)
        except UnreadableError as error:
            log.warning("message_unreadable", message=str(error))
            self._instruments.gaps.inc()
            self.loop.wake()
        except GapError:
            self._instruments.gaps.inc()
            self.loop.wake()

    def began(self, _: str) -> None:
        """Look for what was said while nobody listened."""
        self.loop.wake()
