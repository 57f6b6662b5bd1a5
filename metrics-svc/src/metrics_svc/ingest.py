"""Group commit: work that arrives together shares one transaction, and each part knows when it is durable."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
import structlog
from asyncpg.pool import PoolConnectionProxy

from metrics_svc.domain.block import Block, add
from metrics_svc.domain.event import StoredEvent
from metrics_svc.domain.tally import Dimensions, Prices, Row, Tally, tally
from metrics_svc.instruments import Instruments
from metrics_svc.store import admissions, events
from metrics_svc.store.series import SeriesRegistry
from metrics_svc.writer import Writer, WriterLostError
from windsock_kit.errors import UnavailableError
from windsock_kit.loops import guarding
from windsock_kit.postgres import unavailable

log = structlog.get_logger(__name__)

MAX_FLUSH_EVENTS = 10_000
# One transaction copies its rows while another writes its totals and commits.
LANES = 2
# Batches that wait at once, most of them for new series; a client that gets 503 sends again.
MAX_OPEN = 1_000
# What rolling back may meet: a connection that has gone, which is as good.
_LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What some events add to the store: raw rows and totals by kind."""

    rows: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    totals: Mapping[str, Block] = field(default_factory=dict)
    accepted: int = 0


NOTHING = Prepared()
# A value of its own: a batch that was stored before, even one without events.
_DUPLICATE = Prepared()
# Work that can only be done inside the transaction, such as telling known spans from new ones.
Work = Callable[["PoolConnectionProxy[asyncpg.Record]"], Awaitable[Prepared]]


@dataclass(frozen=True, slots=True, eq=False)
class _Submission:
    size: int
    submitted: float
    done: asyncio.Future[Prepared]
    work: Work | None = None
    batch_id: UUID | None = None
    prepared: Prepared = NOTHING


class Ingest:
    """Takes events in and says so only when they are committed."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        series: SeriesRegistry,
        writer: Writer,
        *,
        prices: Callable[[], Prices],
        max_queued: int,
        instruments: Instruments,
        committed: Callable[[Iterable[Mapping[str, Sequence[Row]]]], None] = lambda _: None,
    ) -> None:
        self._pool = pool
        self._series = series
        self._writer = writer
        self._prices = prices
        self._max_queued = max_queued
        self._instruments = instruments
        self._committed = committed
        self._queue: deque[_Submission] = deque()
        self._queued = 0
        self._open: set[asyncio.Future[Prepared]] = set()
        self._arrived = asyncio.Event()
        self._work_lock = asyncio.Lock()
        self._stopping = False
        self.last_commit: float | None = None

    @property
    def queued(self) -> int:
        """How many events wait for their transaction."""
        return self._queued

    def lag_seconds(self) -> float:
        """Return for how long the oldest waiting submission has waited."""
        return time.monotonic() - self._queue[0].submitted if self._queue else 0.0

    async def prepare(self, found: Sequence[StoredEvent]) -> Prepared:
        """Return what stamped events add to the store; makes their series, and nothing else."""
        if not found:
            return NOTHING
        rows: dict[str, Sequence[Row]] = {}
        totals: dict[str, Block] = {}
        for part in tally(found, self._prices()):
            rows[part.kind.name] = part.rows
            try:
                totals[part.kind.name] = part.block(self._series.ids(part.kind.name))
            except KeyError:
                totals[part.kind.name] = part.block(await self._new_series(part))
        return Prepared(rows, totals, len(found))

    async def _new_series(self, part: Tally) -> Mapping[Dimensions, int]:
        with unavailable("the store cannot take events now"):
            return await self._series.ensure(part.kind.name, part.wanted(), now=time.monotonic())

    async def submit_batch(self, batch_id: UUID, found: Sequence[StoredEvent]) -> int | None:
        """Store a batch once; returns how many events were stored, ``None`` if the batch was known."""
        self._check_room(len(found))
        with self._opened():
            prepared = await self.prepare(found)
            done = await self._submit(len(found), batch_id=batch_id, prepared=prepared)
        return None if done is _DUPLICATE else done.accepted

    async def submit(self, size: int, work: Work) -> Prepared:
        """Run ``work`` inside the next transaction and store what it returns.

        It may run again when the transaction has to be repeated.
        """
        return await self._submit(size, work=work)

    async def settled(self) -> None:
        """Return when all that was priced or submitted before is committed or refused."""
        if self._open:
            await asyncio.wait(set(self._open))

    @contextmanager
    def _opened(self) -> Generator[None]:
        """Let ``settled`` wait for the block: a batch is priced before it is in the queue."""
        ticket: asyncio.Future[Prepared] = asyncio.get_running_loop().create_future()
        self._open.add(ticket)
        try:
            yield
        finally:
            self._open.discard(ticket)
            ticket.cancel()

    def _check_room(self, size: int) -> None:
        if self._stopping:
            reason = "the service is stopping"
        elif self._queued + size > max(self._max_queued, size) or len(self._open) > MAX_OPEN:
            reason = "the ingest queue is full"
        else:
            return
        self._instruments.refused.inc(size)
        raise UnavailableError(f"{reason}; send the batch again", retry_after=1)

    async def _submit(
        self,
        size: int,
        *,
        work: Work | None = None,
        batch_id: UUID | None = None,
        prepared: Prepared = NOTHING,
    ) -> Prepared:
        # Again, because making series takes time in which the end may have come.
        self._check_room(size)
        done: asyncio.Future[Prepared] = asyncio.get_running_loop().create_future()
        self._open.add(done)
        done.add_done_callback(self._open.discard)
        self._queue.append(_Submission(size, time.monotonic(), done, work, batch_id, prepared))
        self._queued += size
        self._arrived.set()
        # A client that goes away does not undo what may be in a transaction already.
        return await asyncio.shield(done)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Flush for the life of the block; at its end what waits is flushed and the rest refused."""
        lanes = [asyncio.create_task(self._run(), name=f"ingest-{lane}") for lane in range(LANES)]
        try:
            with guarding(lanes):
                yield
        finally:
            self._stopping = True
            self._arrived.set()
            await asyncio.gather(*lanes)

    async def _run(self) -> None:
        while self._queue or not self._stopping:
            if not self._queue:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            await self._flush(self._take())

    def _take(self) -> list[_Submission]:
        group = [self._queue.popleft()]
        size = group[0].size
        while self._queue and size + self._queue[0].size <= MAX_FLUSH_EVENTS:
            group.append(self._queue.popleft())
            size += group[-1].size
        self._queued -= size
        return group

    async def _flush(self, group: list[_Submission]) -> None:
        started = time.perf_counter()
        try:
            with unavailable("the store cannot take events now; send the batch again"):
                try:
                    outcome = await self._commit(group)
                except WriterLostError:
                    outcome = await self._commit(group)
        except UnavailableError as error:
            self._refuse(group, error)
            return
        except Exception as error:  # noqa: BLE001  This is the loop: one bad batch must not stop the others.
            await self._isolate(group, error)
            return
        self.last_commit = time.time()
        self._instruments.flushed(time.perf_counter() - started, sum(s.size for s in group))
        for submission, prepared in zip(group, outcome, strict=True):
            if not submission.done.done():
                submission.done.set_result(prepared)
        self._committed(prepared.rows for prepared in outcome)

    def _refuse(self, group: list[_Submission], error: UnavailableError) -> None:
        self._instruments.refused.inc(sum(s.size for s in group))
        for submission in group:
            if not submission.done.done():
                submission.done.set_exception(
                    UnavailableError(error.detail, retry_after=error.retry_after)
                )

    async def _isolate(self, group: list[_Submission], error: Exception) -> None:
        if len(group) == 1:
            log.error("batch_failed", batch_id=str(group[0].batch_id), exc_info=error)
            if not group[0].done.done():
                group[0].done.set_exception(error)
            return
        for submission in group:
            await self._flush([submission])

    async def _commit(self, group: list[_Submission]) -> list[Prepared]:
        # Two lanes that admit spans in crossed order would wait for each other; batches are admitted sorted.
        has_work = any(submission.work is not None for submission in group)
        async with (
            self._work_lock if has_work else nullcontext(),
            self._pool.acquire() as connection,
        ):
            transaction = connection.transaction()
            await transaction.start()
            try:
                outcome = await self._admit(connection, group)
                rows, totals = _merged(outcome)
                for kind, found in rows.items():
                    await events.append(connection, kind, found)
                if totals:
                    async with self._writer.turn(connection) as turn:
                        await turn.add(totals)
                        await transaction.commit()
                else:
                    await transaction.commit()
            except BaseException:
                with suppress(*_LOST):
                    await transaction.rollback()
                raise
        for kind, found in rows.items():
            self._instruments.stored.labels(kind).inc(len(found))
        return outcome

    async def _admit(
        self, connection: PoolConnectionProxy[asyncpg.Record], group: list[_Submission]
    ) -> list[Prepared]:
        wanted = [s.batch_id for s in group if s.batch_id is not None]
        fresh = await admissions.new_batches(connection, wanted) if wanted else set()
        outcome: list[Prepared] = []
        for submission in group:
            if submission.work is not None:
                outcome.append(await submission.work(connection))
            elif submission.batch_id in fresh:
                fresh.discard(submission.batch_id)
                outcome.append(submission.prepared)
            else:
                outcome.append(_DUPLICATE)
        return outcome


def _merged(parts: Sequence[Prepared]) -> tuple[dict[str, list[Row]], dict[str, Block]]:
    rows: dict[str, list[Row]] = {}
    blocks: dict[str, list[Block]] = {}
    for part in parts:
        for kind, found in part.rows.items():
            rows.setdefault(kind, []).extend(found)
        for kind, block in part.totals.items():
            blocks.setdefault(kind, []).append(block)
    return rows, {kind: add(found) for kind, found in blocks.items()}
