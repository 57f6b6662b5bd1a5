"""The lease: one of the replicas acts, and the database's clock says until when."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import asyncpg

from alerts_svc.ports import Lease
from alerts_svc.store.fencing import Connection
from windsock_kit.postgres import impatient

# What the caller may count on is less than what the others wait for.
_MARGIN_SHARE = 8


@dataclass(frozen=True, slots=True)
class _Look:
    """The lease as this process saw it: last at ``last``, for the first time like that at ``first``.

    The look before the first one, if there was one, was at ``before``; all by the monotonic clock.
    """

    fence: int
    own: float
    first: float
    last: float
    before: float | None


class PostgresLeases:
    """``Leases`` on a row of ``alerts.leases``, for one process.

    ``ended`` tells of an owner's name that it acts no more for certain: then nobody waits for the end of its lease.
    """

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        ended: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._pool = pool
        self._ended = ended
        self._monotonic = monotonic
        self._look: _Look | None = None

    # Neither time nor fence goes back. A renewal changes no key, so it does not wait for a commit.
    _RENEW = """
        UPDATE alerts.leases
        SET own = greatest(own, coalesce($2, own + greatest(0, extract(epoch FROM clock_timestamp()) - wall))),
            wall = extract(epoch FROM clock_timestamp()),
            expires_at = clock_timestamp() + $3::float8 * interval '1 second'
        WHERE name = 'acting' AND owner = $1
        RETURNING fence, own, wall, (SELECT value FROM alerts.revision) AS revision
    """
    _SEE = """
        SELECT
            owner, fence, own, greatest(0, extract(epoch FROM clock_timestamp()) - wall)::float8 AS passed,
            expires_at <= clock_timestamp()
                OR expires_at > clock_timestamp() + $1::float8 * interval '1 second' AS free
        FROM alerts.leases
        WHERE name = 'acting'
    """
    # Only if it is still as it was seen: its owner may have renewed it, another one may have taken it.
    _TAKE = """
        UPDATE alerts.leases
        SET owner = $1,
            fence = fence + 1,
            own = $2,
            wall = extract(epoch FROM clock_timestamp()),
            expires_at = clock_timestamp() + $3::float8 * interval '1 second'
        WHERE name = 'acting' AND fence = $4 AND own = $5
        RETURNING fence, own, wall, (SELECT value FROM alerts.revision) AS revision
    """

    # A process that was stopped in the midst of a transaction holds locks which everybody else waits for, and neither
    # statement_timeout nor the one for idle transactions ends that between two messages of one statement.
    _END_STALLED = """
        SELECT pg_terminate_backend(pid)
        FROM pg_stat_activity
        WHERE application_name = current_setting('application_name')
            AND usename = current_user AND datname = current_database() AND pid <> pg_backend_pid()
            AND wait_event = 'ClientRead'
            AND xact_start < clock_timestamp() - $1::float8 * interval '1 second'
    """

    async def campaign(self, owner: str, *, ttl: float, own: float | None = None) -> Lease | None:
        """Take the lease, or renew it; ``None`` while somebody else has it."""
        # Counted from before the question, so that the true lease outlives what the caller thinks.
        asked = self._monotonic()
        async with impatient(self._pool) as connection:
            await connection.execute(self._END_STALLED, ttl)
            row = await connection.fetchrow(self._RENEW, owner, own, ttl)
            if row is None:
                row = await self._take(connection, owner, ttl, asked)
        if row is None:
            return None
        self._look = _Look(row["fence"], row["own"], asked, asked, None)
        return Lease(
            owner=owner,
            fence=row["fence"],
            revision=row["revision"],
            own=row["own"],
            wall=row["wall"],
            expires_at=asked + ttl - ttl / _MARGIN_SHARE,
        )

    async def _take(
        self, connection: Connection[asyncpg.Record], owner: str, ttl: float, asked: float
    ) -> asyncpg.Record | None:
        seen = await connection.fetchrow(self._SEE, ttl)
        assert seen is not None
        look = self._watched(seen["fence"], seen["own"], asked)
        if not seen["free"] and not self._ended(seen["owner"]):
            return None
        # The database's clock may have been set since; who has watched knows better how long it has been. Then the least
        # that it can have been, because what is sent too soon cannot be taken back.
        passed: float = max(seen["passed"], asked - look.first)
        if look.before is not None and passed > self._monotonic() - look.before:
            passed = asked - look.first
        own = look.own + passed
        return await connection.fetchrow(self._TAKE, owner, own, ttl, look.fence, look.own)

    def _watched(self, fence: int, own: float, now: float) -> _Look:
        last = self._look
        if last is not None and (last.fence, last.own) == (fence, own):
            look = _Look(fence, own, last.first, now, last.before)
        else:
            look = _Look(fence, own, now, now, last.last if last else None)
        self._look = look
        return look

    _RESIGN = """
        UPDATE alerts.leases
        SET owner = '', expires_at = '-infinity'
        WHERE name = 'acting' AND owner = $1 AND fence = $2
    """

    async def resign(self, lease: Lease) -> None:
        """Give it up; the fence stays, so that the next owner's is greater."""
        await self._pool.execute(self._RESIGN, lease.owner, lease.fence)
