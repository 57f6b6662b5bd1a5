"""The ledger in PostgreSQL: what the one that acts reads and writes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

import asyncpg

from alerts_svc.domain.message import Message
from alerts_svc.domain.world import Changes, Command, World
from alerts_svc.ports import Delivery, Lease, Result
from alerts_svc.store import channels, committing, fencing, inbox, loading, outbox


class PostgresLedger:
    """``Ledger`` on the schema ``alerts``."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    @asynccontextmanager
    async def quietly(self) -> AsyncGenerator[PostgresLedger]:
        """Make people's changes wait for the life of the block, but not for what is done with the ledger given."""
        async with (
            self._pool.acquire() as connection,
            self._pool.acquire() as holding,
            # A transaction, because the database ends one that a process which stands still leaves open.
            holding.transaction(),
        ):
            await fencing.hush(holding)
            yield _QuietLedger(self._pool, connection)

    def _borrowed(self) -> AbstractAsyncContextManager[fencing.Connection[asyncpg.Record]]:
        return self._pool.acquire()

    async def load(self) -> World:
        """Read everything a decision depends on, at one revision."""
        async with (
            self._borrowed() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await loading.world(connection)

    async def commit(self, lease: Lease, changes: Changes, *, revision: int) -> None:
        """Write it all in one transaction, if lease and ``revision`` are still the current ones."""
        async with self._borrowed() as connection, connection.transaction():
            await fencing.hold(connection, lease, revision)
            await committing.write(connection, changes, since=lease.own)

    async def inbox(self, *, limit: int) -> Sequence[Command]:
        """Return what waits to be acted on, oldest first."""
        async with self._borrowed() as connection:
            return await inbox.waiting(connection, limit=limit)

    async def due(self, channel: str, *, own: float, limit: int) -> Sequence[Delivery]:
        """Return what may be sent on a channel now, oldest first."""
        return await outbox.due(self._pool, channel, own=own, limit=limit)

    async def next_due(self, channel: str) -> float | None:
        """Return when the next message of a channel may be sent, ``None`` if none waits."""
        return await outbox.next_due(self._pool, channel)

    async def queues(self) -> Sequence[str]:
        """Return the names of the channels that messages wait for."""
        return await outbox.queues(self._pool)

    async def begin_attempt(self, lease: Lease, delivery: Delivery, *, own: float) -> None:
        """Write down that an attempt begins; whether it ended is not known until ``end_attempt``."""
        await outbox.begin(self._pool, lease, delivery.message.id, own=own)

    async def end_attempt(
        self, lease: Lease, delivery: Delivery, result: Result, *, own: float, next_at: float | None
    ) -> None:
        """Write down how it ended."""
        message = delivery.message.id
        await outbox.end(self._pool, lease, message, result, own=own, next_at=next_at)

    async def fall_back(
        self, lease: Lease, delivery: Delivery, messages: Sequence[Message]
    ) -> None:
        """Give up a delivery whose attempt has ended, and put what tells of it elsewhere in the outbox."""
        async with self._pool.acquire() as connection, connection.transaction():
            await fencing.hold_lease(connection, lease)
            await outbox.give_up(connection, delivery.message.id, own=lease.own)
            if messages:
                await outbox.enqueue(connection, messages, since=lease.own, again=True)

    async def disable_channel(self, lease: Lease, channel: str, reason: str) -> None:
        """Stop using a channel until somebody changes it; the revision grows."""
        async with self._pool.acquire() as connection, connection.transaction():
            await fencing.hold_lease(connection, lease)
            await channels.disable(connection, channel, reason)


class _QuietLedger(PostgresLedger):
    """Decides on one connection: those who wait may have all the others of the pool."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        connection: fencing.Connection[asyncpg.Record],
    ) -> None:
        super().__init__(pool)
        self._connection = connection

    def _borrowed(self) -> AbstractAsyncContextManager[fencing.Connection[asyncpg.Record]]:
        return nullcontext(self._connection)
