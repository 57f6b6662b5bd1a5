"""What comes in through any replica's API and waits for the one that acts."""

from __future__ import annotations

import asyncpg

from alerts_svc.domain.world import Acknowledge, Close, Command, Posted
from alerts_svc.ports import ENOUGH_POSTED
from alerts_svc.store.content import dump, kind_of, load_command
from alerts_svc.store.fencing import CHANNEL, Connection

_PUT = """
    WITH put AS (INSERT INTO alerts.inbox (kind, content, weight) VALUES ($1, $2, $3) RETURNING id)
    SELECT id, pg_notify($4, 'inbox') FROM put
"""
_WAITING = """
    SELECT id, at, kind, content
    FROM (
        SELECT id, at, kind, content, sum(weight) OVER (ORDER BY id) - weight AS before
        FROM (SELECT id, at, kind, content, weight FROM alerts.inbox ORDER BY id LIMIT $1) AS oldest
    ) AS weighed
    WHERE before < $2
    ORDER BY id
"""


class Inbox:
    """The way in; once ``put`` has returned, nothing gets lost."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def put(self, content: tuple[Posted, ...] | Acknowledge | Close) -> int:
        """Keep a command until it has been acted on, wake the one that acts, and return its number."""
        weight = len(content) if isinstance(content, tuple) else 1
        number: int = await self._pool.fetchval(
            _PUT, kind_of(content), dump(content), weight, CHANNEL
        )
        return number


async def waiting(connection: Connection[asyncpg.Record], *, limit: int) -> list[Command]:
    """Return the oldest commands that wait, as many as one tick may act on."""
    rows = await connection.fetch(_WAITING, limit, ENOUGH_POSTED)
    return [load_command(row["id"], row["at"], row["kind"], row["content"]) for row in rows]
