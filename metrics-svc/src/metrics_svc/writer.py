"""This process's life as a writer of rollups: what it has written, when it folds, and when it must start anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import structlog
from asyncpg.pool import PoolConnectionProxy

from metrics_svc.domain.rollup import FOREVER, Late, Live, Totals, floor, split
from metrics_svc.store import rollups
from windsock_kit.errors import UnavailableError
from windsock_kit.postgres import unavailable

log = structlog.get_logger(__name__)

# How long after the end of a minute its events are still taken without being late.
FOLD_GRACE_SECONDS = 20
# A process that has not folded for so long is gone or stuck; another folds for it and retires its writer.
ABANDONED_SECONDS = 180.0
# Late totals are held only to write rows whole; a resolution that takes more than its share is let go.
MAX_LATE_BYTES = 8 * 2**20


class WriterLostError(Exception):
    """Another process has retired this writer: begin again as a new one."""


@dataclass(slots=True)
class Turn:
    """The right to add totals in one transaction; what it leads to becomes true with the commit."""

    connection: PoolConnectionProxy[asyncpg.Record]
    live_id: int
    live: Live
    late: Late

    async def add(self, delta: Totals) -> None:
        """Write what ``delta`` changes; at most once in a transaction."""
        live, late = split(delta, self.live.folded)
        self.live, rows = self.live.record(live)
        if rows:
            await rollups.write(self.connection, self.live_id, rows)
        if late:
            new = await rollups.new_late_writer(self.connection) if self.late.needs_writer else 0
            self.late, by_writer = self.late.record(late, new)
            for writer, rows in by_writer.items():
                await rollups.write(self.connection, writer, rows)


class Writer:
    """Owns the totals in memory. They change only after a commit; after any failure a new writer begins.

    A failed commit may have happened all the same. The rows of the old writer say which it was, and nobody adds
    to them any more, so starting from nothing under a new id is right in both cases.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = asyncio.Lock()
        self._live_id: int | None = None
        self._live = Live()
        self._late = Late()
        self._left: list[int] = []

    @asynccontextmanager
    async def turn(self, connection: PoolConnectionProxy[asyncpg.Record]) -> AsyncGenerator[Turn]:
        """Give the block the right to add totals; it must end with the commit of its transaction.

        One at a time: the next turn builds upon what this one has committed. What needs no totals, such as
        copying the raw rows, is better done before, while another transaction has its turn.
        """
        async with self._lock:
            try:
                turn = await self._begin(connection)
                yield turn
            except BaseException:
                self._start_anew()
                raise
            self._live_id, self._live = turn.live_id, turn.live
            self._late = turn.late.shrink(MAX_LATE_BYTES)

    async def _begin(self, connection: PoolConnectionProxy[asyncpg.Record]) -> Turn:
        if self._live_id is None:
            folded = floor(int(self._clock()) - FOLD_GRACE_SECONDS, 3600)
            live_id = await rollups.new_live_writer(connection, folded)
            return Turn(connection, live_id, Live(folded), self._late)
        wanted = [self._live_id, *self._late.writers]
        held = await rollups.hold_writers(connection, wanted)
        if self._live_id not in held:
            raise WriterLostError
        return Turn(connection, self._live_id, self._live, self._late.only(held))

    def _start_anew(self) -> None:
        if self._live_id is not None:
            self._left.append(self._live_id)
        self._live_id = None
        self._live, self._late = Live(), Late()

    async def fold(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        """Fold what is complete, and finish for writers that this process or a dead one left behind."""
        until = floor(int(self._clock()) - FOLD_GRACE_SECONDS, 60)
        async with self._lock:
            if self._live_id is not None and until > self._live.folded:
                try:
                    still_ours = await rollups.fold(pool, self._live_id, until)
                except BaseException:
                    self._start_anew()
                    raise
                if still_ours:
                    self._live = self._live.fold(until)
                else:
                    self._start_anew()
        for writer in [*self._left, *await rollups.abandoned(pool, ABANDONED_SECONDS)]:
            if await rollups.fold(pool, writer, FOREVER):
                log.info("writer_retired", writer=writer)
            if writer in self._left:
                self._left.remove(writer)

    async def retire(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        """Fold everything at the end of the process, so that nothing is left for others to finish."""
        async with self._lock:
            self._start_anew()
            try:
                with unavailable("the store is away at the end"):
                    for writer in self._left:
                        await rollups.fold(pool, writer, FOREVER)
            except UnavailableError as error:
                log.warning("writer_left_behind", writers=self._left, error=str(error))
