"""Takes in what processes report, and reports this one.

Reports wait here for a moment, so that a thousand of them are one visit to the database. How long
a change took is told by no clock but ours and the database's: it is the time since its commit, less how long
the process says that it has had it.

The composition root runs it by ``running``.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import asyncpg
import structlog
from prometheus_client import CollectorRegistry

from flags_svc.domain.world import Change
from flags_svc.instruments import Instruments
from flags_svc.live.delays import bucket_of
from flags_svc.live.event_id import EventId
from flags_svc.live.replica import Replica
from flags_svc.store.applied import Applied
from flags_svc.store.instances import Instances, Report
from windsock_kit.errors import UnavailableError
from windsock_kit.loops import PeriodicLoop, running
from windsock_kit.postgres import transient_errors

log = structlog.get_logger(__name__)

STORE_SECONDS = 0.5
# A process that has nothing new to say is heard of so often all the same.
ALIVE_SECONDS = 5.0
# A database that is away keeps nobody from ending.
END_SECONDS = 5.0
MAX_WAITING = 10_000
BATCH = 1_000
_FAULTS: tuple[type[BaseException], ...] = (*transient_errors, asyncpg.InterfaceError)


class Reception:
    """Stores reports, by ``loop``."""

    def __init__(
        self,
        replica: Replica,
        instances: Instances,
        applied: Applied,
        instruments: Instruments,
        *,
        registry: CollectorRegistry | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.loop = PeriodicLoop("reports", self.tick, interval=STORE_SECONDS, registry=registry)
        self._replica = replica
        self.instances = instances
        self.applied = applied
        self._instruments = instruments
        self._now = now
        self._waiting: list[tuple[Report, float | None]] = []
        self._counts: Counter[float] = Counter()
        self._stored: Counter[float] = Counter()
        self._instance = uuid.uuid4().hex
        self._name = f"flags-svc {socket.gethostname()}:{os.getpid()}"
        self._sequence = 0
        self._said: tuple[EventId, float] | None = None
        self._away = False
        replica.watchers.append(self._changed)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Store reports for the life of the block, and at its end those that wait, with this process' farewell."""
        async with running([self.loop]):
            yield
        self._say(ended=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await self._store_all()

    def take(self, report: Report, age: float) -> None:
        """Take in a report of a process that has been at its revision for ``age`` seconds.

        Raises ``UnavailableError`` while too many wait for the database.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise UnavailableError("too many reports wait for the database", retry_after=5.0)
        self._instruments.reports.inc()
        known = self._known(report)
        self._waiting.append((known, self._delay(known, age)))

    def _known(self, report: Report) -> Report:
        """Leave out what is said of flags that are not here."""
        flags = self._replica.world.flags if self._is_here(report.environment) else {}
        used = {key: count for key, count in report.used.items() if key[0] in flags}
        return replace(report, used=used)

    def _is_here(self, environment: str) -> bool:
        return self._replica.known and environment in self._replica.world.environments

    def _delay(self, report: Report, age: float) -> float | None:
        """Return how long it took from the commit of the report's revision, if that is known."""
        if not self._replica.known or report.epoch != self._replica.world.epoch:
            return None
        at = self._replica.recent.at(report.revision)
        return None if at is None else max(0.0, report.at - age - at)

    def _changed(self, changes: Sequence[Change]) -> None:
        now = self._now()
        for change in changes:
            delay = max(0.0, now - change.at)
            self._instruments.applied.observe(delay)
            self._counts[bucket_of(delay)] += 1

    async def tick(self) -> None:
        """Store what waits; what the database does not take now waits on."""
        self._say()
        await self._store_all()

    async def _store_all(self) -> None:
        try:
            while self._waiting:
                await self._store(self._waiting[:BATCH])
            if self._counts != self._stored:
                counts = self._counts.copy()
                await self.applied.put(self._instance, counts, at=self._now())
                self._stored = counts
        except _FAULTS as error:
            if not self._away:
                log.warning("reports_wait", error=type(error).__name__, message=str(error))
            self._away = True
        else:
            self._away = False

    async def _store(self, batch: Sequence[tuple[Report, float | None]]) -> None:
        moved = await self.instances.record([report for report, _ in batch])
        del self._waiting[: len(batch)]
        delays = {(report.instance, report.sequence): delay for report, delay in batch}
        for report in moved:
            delay = delays[report.instance, report.sequence]
            if delay is not None:
                self._counts[bucket_of(delay)] += 1

    def _say(self, *, ended: bool = False) -> None:
        """Report this process if it is at another revision, has not been heard of for a while, or ends."""
        if not self._replica.known or len(self._waiting) >= MAX_WAITING:
            return
        here, now = self._replica.position, self._now()
        said, at = self._said or (None, 0.0)
        if not ended and said == here and 0 <= now - at < ALIVE_SECONDS:
            return
        self._said = here, now
        self._sequence += 1
        report = Report(
            instance=self._instance,
            kind="service",
            name=self._name,
            environment="",
            epoch=here.epoch,
            revision=here.revision,
            sequence=self._sequence,
            at=now,
            ended=ended,
        )
        self._waiting.append((report, None))
