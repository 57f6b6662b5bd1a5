"""Deliveries as people see them: where each message is, what was tried, and once more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from alerts_svc.domain.message import Message
from alerts_svc.store import fencing
from alerts_svc.store.content import load_message, text
from windsock_kit.errors import ConflictError, NotFoundError

WAITING, SENT, FAILED = "waiting", "sent", "failed"
REPLAY = "replay"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt. ``outcome`` is ``sent``, ``retry``, ``unknown``, ``refused``, or ``replay`` for a person's wish.

    Without an outcome nobody knows how it ended, or it is under way. ``status`` is of HTTP or SMTP. Times are own.
    """

    number: int
    began_at: float
    ended_at: float | None
    outcome: str | None
    status: int | None
    reason: str
    next_at: float | None


@dataclass(frozen=True, slots=True)
class KeptDelivery:
    """A message and where it is. ``reason`` says why it is not sent; ``created_at`` is wall clock, the others own time.

    ``next_at`` is ``None`` for what has ended, and in the past for what may be sent at once.
    """

    id: int
    message: Message
    status: str
    attempts: int
    created_at: float
    since: float
    next_at: float | None
    finished_at: float | None
    reason: str
    tries: Sequence[Attempt] = ()


_LIST = """
    SELECT id, content, status, attempts, created_at, since, next_at, finished_at, reason
    FROM alerts.deliveries
    WHERE ($1::text IS NULL OR channel = $1)
        AND ($2::text IS NULL OR status = $2)
        AND ($3::bigint IS NULL OR id < $3)
    ORDER BY id DESC
    LIMIT $4
"""
_OF_INCIDENT = """
    SELECT id, content, status, attempts, created_at, since, next_at, finished_at, reason
    FROM alerts.deliveries
    WHERE id IN (
            SELECT delivery FROM alerts.delivery_items WHERE incident = $5
            UNION ALL
            SELECT id FROM alerts.deliveries WHERE about @> ARRAY[$5::text]
        )
        AND ($1::text IS NULL OR channel = $1)
        AND ($2::text IS NULL OR status = $2)
        AND ($3::bigint IS NULL OR id < $3)
    ORDER BY id DESC
    LIMIT $4
"""
_ONE = """
    SELECT id, content, status, attempts, created_at, since, next_at, finished_at, reason
    FROM alerts.deliveries
    WHERE id = $1
"""
_ATTEMPTS = """
    SELECT delivery, number, began_at, ended_at, outcome, status, reason, next_at
    FROM alerts.attempts
    WHERE delivery = ANY($1::bigint[])
    ORDER BY delivery, number
"""
# Not waiting, with a channel to go to. The attempts are counted on, so that none is written over.
_REPLAY = """
    WITH clock AS (
        SELECT own + greatest(0, extract(epoch FROM clock_timestamp()) - wall)::float8 AS own
        FROM alerts.leases
        WHERE name = 'acting'
    ), put AS (
        UPDATE alerts.deliveries AS d
        SET status = 'waiting', attempts = attempts + 1, since = clock.own, next_at = '-infinity',
            finished_at = NULL
        FROM clock
        WHERE d.id = $1 AND d.status <> 'waiting'
            AND EXISTS (SELECT FROM alerts.channels AS c WHERE c.name = d.channel)
        RETURNING d.id, d.attempts, clock.own
    )
    INSERT INTO alerts.attempts (delivery, number, began_at, ended_at, outcome, reason)
    SELECT id, attempts, own, own, 'replay', $2 FROM put
"""


class Deliveries:
    """The outbox as people see it."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def list(
        self,
        *,
        channel: str | None = None,
        status: str | None = None,
        incident: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[KeptDelivery]:
        """Return deliveries, newest first, those before the one numbered ``before``."""
        chosen = (channel and text(channel), status, before, limit)
        if incident is None:
            rows = await self._pool.fetch(_LIST, *chosen)
        else:
            rows = await self._pool.fetch(_OF_INCIDENT, *chosen, text(incident))
        return [_kept(row) for row in rows]

    async def of_incident(self, incident: str, *, limit: int = 200) -> Sequence[KeptDelivery]:
        """Return the first deliveries that tell of an incident, oldest first, with their attempts."""
        found = await self._pool.fetch(_OF_INCIDENT, None, None, None, limit, text(incident))
        rows = found[::-1]
        attempts = await _attempts(self._pool, [row["id"] for row in rows])
        return [_kept(row, attempts.get(row["id"], ())) for row in rows]

    async def get(self, number: int) -> KeptDelivery:
        """Return one delivery with its attempts."""
        row = await self._pool.fetchrow(_ONE, number)
        if row is None:
            raise _unknown(number)
        return _kept(row, (await _attempts(self._pool, [number])).get(number, ()))

    async def replay(self, number: int, *, by: str = "") -> KeptDelivery:
        """Put a delivery in the queue again, under the same message id, and return it."""
        async with self._pool.acquire() as connection, connection.transaction():
            done = await connection.execute(_REPLAY, number, text(by))
            await fencing.notify(connection, "outbox")
        found = await self.get(number)
        if done.endswith(" 0"):
            raise ConflictError(_refusal(found))
        return found


async def _attempts(
    pool: asyncpg.Pool[asyncpg.Record], deliveries: Sequence[int]
) -> dict[int, list[Attempt]]:
    found: dict[int, list[Attempt]] = {}
    for row in await pool.fetch(_ATTEMPTS, deliveries):
        number, *values = row.values()
        found.setdefault(number, []).append(Attempt(*values))
    return found


def _refusal(delivery: KeptDelivery) -> str:
    if delivery.status == WAITING:
        return "it is in the queue already"
    return f"the channel {delivery.message.channel} is no more"


def _unknown(number: int) -> NotFoundError:
    return NotFoundError(f"there is no delivery {number}")


def _kept(row: asyncpg.Record, tries: Sequence[Attempt] = ()) -> KeptDelivery:
    return KeptDelivery(
        id=row["id"],
        message=load_message(row["content"]),
        status=row["status"],
        attempts=row["attempts"],
        created_at=row["created_at"],
        since=row["since"],
        next_at=row["next_at"] if row["status"] == WAITING else None,
        finished_at=row["finished_at"],
        reason=row["reason"],
        tries=tries,
    )
