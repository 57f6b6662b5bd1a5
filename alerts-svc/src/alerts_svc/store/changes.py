"""What people changed in the application: flags, deployments."""

from __future__ import annotations

import asyncpg

from alerts_svc.domain.message import ChangeEvent
from alerts_svc.store import fencing
from alerts_svc.store.content import text

_PUT = """
    INSERT INTO alerts.change_events (id, kind, name, description, author, at)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT DO NOTHING
"""
_ONE = """
    SELECT id, kind, name, description, author, at FROM alerts.change_events WHERE id = $1
"""
_BETWEEN = """
    SELECT id, kind, name, description, author, at
    FROM alerts.change_events
    WHERE at >= $1 AND at < $2
    ORDER BY at DESC, id DESC
    LIMIT $3
"""


class ChangeEvents:
    """Change events; messages tell of those around the time of an alert."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def put(self, change: ChangeEvent) -> tuple[ChangeEvent, bool]:
        """Store a change; return it as it is kept, and whether it is new.

        A repeated id is a message that somebody sent again, so the first one stays.
        """
        made = ChangeEvent(
            text(change.id),
            text(change.kind),
            text(change.name),
            text(change.description),
            text(change.author),
            change.at,
        )
        async with self._pool.acquire() as connection, connection.transaction():
            await fencing.grow(connection)
            values = (made.id, made.kind, made.name, made.description, made.author, made.at)
            if not (await connection.execute(_PUT, *values)).endswith(" 0"):
                return made, True
            kept = await connection.fetchrow(_ONE, made.id)
        assert kept is not None
        return ChangeEvent(*kept.values()), False

    async def between(self, start: float, end: float, *, limit: int) -> list[ChangeEvent]:
        """Return changes from ``start`` up to ``end`` (wall clock), newest first."""
        rows = await self._pool.fetch(_BETWEEN, start, end, limit)
        return [ChangeEvent(*row.values()) for row in rows]
