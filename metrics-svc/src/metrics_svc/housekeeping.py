"""What keeps the store in shape: its tables' form, and the end of what has been kept long enough."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import asyncpg
import structlog
from asyncpg.pool import PoolConnectionProxy

from metrics_svc.store import admissions, edition, events, rollups
from metrics_svc.store.edition import Server
from windsock_kit.postgres import transient_errors

log = structlog.get_logger(__name__)

Connection = PoolConnectionProxy
INTERVAL_SECONDS = 300.0
# A tick ends about here and the next one goes on, so that stopping the service never waits long.
BUDGET_SECONDS = 30.0
# Rollups outlive their period by this much: a query that was planned a moment ago still finds its rows.
_MARGIN = timedelta(hours=1)
_LATE_WRITER_LIFE = timedelta(days=1)
# Any constant will do, as long as every replica takes the same one.
_LOCK = 0x57494E_4B454550
_TRY_LOCK = "SELECT pg_try_advisory_lock($1)"
_FAILURES: tuple[type[BaseException], ...] = (asyncpg.PostgresError, *transient_errors)

_Step = Callable[[], Awaitable[bool]]


class HousekeepingError(Exception):
    """Some steps failed; each has been logged with its reason."""


@dataclass(frozen=True, slots=True)
class Periods:
    """How long things are kept: raw events, rollup rows by resolution, and what was taken in before."""

    raw: timedelta
    rollups: Mapping[int, timedelta]
    admissions: timedelta
    columnstore_after: timedelta


class Housekeeping:
    """One replica at a time does it; every step may fail without the others, and may be done again."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        periods: Periods,
        clock: Callable[[], datetime],
    ) -> None:
        self._pool = pool
        self._periods = periods
        self._clock = clock

    async def tick(self) -> bool:
        """Do what is due, and return whether there is more than fitted in; nothing if another replica is at it.

        Raises ``HousekeepingError`` after all steps when some of them failed.
        """
        async with self._pool.acquire() as connection:
            # Held by the session: it goes with the connection, or when the pool takes that back.
            if not await connection.fetchval(_TRY_LOCK, _LOCK):
                return False
            # Whoever waits for a lock holds up those behind it. The pool resets this as well.
            await connection.execute("SET lock_timeout = '2s'")
            server = await edition.extend(connection)
            return await self._run(connection, self._steps(connection, server))

    async def _run(
        self, connection: Connection[asyncpg.Record], steps: Iterator[tuple[str, _Step]]
    ) -> bool:
        more = False
        failed: list[str] = []
        for name, step in steps:
            try:
                more |= await step()
            except _FAILURES as error:
                failed.append(name)
                log.warning("housekeeping_step_failed", step=name, error=repr(error))
                if connection.is_closed():
                    break
        if failed:
            raise HousekeepingError(f"failed: {', '.join(failed)}")
        return more

    def _steps(
        self, connection: Connection[asyncpg.Record], server: Server
    ) -> Iterator[tuple[str, _Step]]:
        deadline = time.monotonic() + BUDGET_SECONDS
        now, periods = self._clock(), self._periods
        tables = [f"{events.SCHEMA}.{name}" for name in events.TABLES.values()]
        for table in tables:
            yield f"prepare {table}", partial(self._prepare, connection, server, table)
        for table in tables:
            yield f"expire {table}", partial(self._expire, connection, server, table, deadline)
        for resolution, kept in periods.rollups.items():
            before = int((now - kept - _MARGIN).timestamp())
            delete = partial(rollups.expire, connection, resolution, before)
            yield f"expire rollups of {resolution} s", partial(_repeat, delete, deadline)
        for table in admissions.TABLES:
            forget = partial(admissions.forget, connection, table, periods.admissions)
            yield f"forget {table}", partial(_repeat, forget, deadline)
        # A little later than their last rows go, so that these are not looked for in vain.
        before = int((now - max(periods.rollups.values()) - 3 * _MARGIN).timestamp())
        yield "drop writers", partial(_drop_writers, connection, before)

    async def _prepare(
        self, connection: Connection[asyncpg.Record], server: Server, table: str
    ) -> bool:
        await edition.prepare(connection, server, table, self._periods.columnstore_after)
        return False

    async def _expire(
        self, connection: Connection[asyncpg.Record], server: Server, table: str, deadline: float
    ) -> bool:
        before = self._clock() - self._periods.raw
        rows = chunks = size = 0
        while True:
            freed = await edition.expire(connection, server, table, before)
            rows, chunks, size = rows + freed.rows, chunks + freed.chunks, size + freed.size
            if not freed.more or time.monotonic() > deadline:
                break
        if rows or chunks:
            log.info("events_expired", table=table, rows=rows, chunks=chunks, bytes=size)
        return freed.more


async def _repeat(delete: _Step, deadline: float) -> bool:
    """Delete batch by batch until nothing is left or time is over; return whether more is left."""
    while await delete():
        if time.monotonic() > deadline:
            return True
    return False


async def _drop_writers(connection: Connection[asyncpg.Record], before: int) -> bool:
    await rollups.retire_late_writers(connection, _LATE_WRITER_LIFE)
    dropped = await rollups.drop_writers(connection, before)
    if dropped:
        log.info("writers_dropped", writers=dropped)
    return False
