"""What people changed in the application: flags, deployments."""

from __future__ import annotations

import asyncpg

from alerts_svc.domain.message import ChangeEvent
from alerts_svc.store import fencing
from alerts_svc.store.content import text
from windsock_kit.errors import ConflictError

_PUT = """
    INSERT INTO alerts.change_events (id, kind, name, description, author, at)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT DO NOTHING
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

    async def put(self, change: ChangeEvent) -> ChangeEvent:
        """Store a change and return it as it is kept."""
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
            if (await connection.execute(_PUT, *values)).endswith(" 0"):
                raise ConflictError(f"there is a change {made.id} already")
        return made

    async def between(self, start: float, end: float, *, limit: int) -> list[ChangeEvent]:
        """Return changes from ``start`` up to ``end`` (wall clock), newest first."""
        rows = await self._pool.fetch(_BETWEEN, start, end, limit)
        return [ChangeEvent(*row.values()) for row in rows]
