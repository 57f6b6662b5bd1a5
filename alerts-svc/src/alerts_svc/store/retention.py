"""Forgetting what is too old, in batches that hold nobody up."""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg

ROWS = 2_000

# An incident goes with all that belongs to it, by its end; what was never ended stays.
_INCIDENTS = """
    WITH old AS (
        DELETE FROM alerts.incidents
        WHERE id = ANY(ARRAY(
            SELECT id FROM alerts.incidents WHERE ended_at < $1 ORDER BY ended_at LIMIT $2
        ))
        RETURNING id
    ), transitions AS (
        DELETE FROM alerts.transitions WHERE incident IN (SELECT id FROM old)
    ), decisions AS (
        DELETE FROM alerts.decisions WHERE incident IN (SELECT id FROM old)
    )
    SELECT count(*) FROM old
"""
# Their attempts go with them.
_DELIVERIES = """
    WITH old AS (
        DELETE FROM alerts.deliveries
        WHERE id = ANY(ARRAY(
                SELECT id FROM alerts.deliveries
                WHERE created_at < $1 AND status <> 'waiting'
                ORDER BY created_at
                LIMIT $2
            ))
            AND status <> 'waiting'
        RETURNING id
    ), items AS (
        DELETE FROM alerts.delivery_items WHERE delivery IN (SELECT id FROM old)
    )
    SELECT count(*) FROM old
"""
_SILENCES = """
    WITH old AS (
        DELETE FROM alerts.silences
        WHERE id = ANY(ARRAY(
                SELECT id FROM alerts.silences WHERE ends_at < $1 ORDER BY ends_at LIMIT $2
            ))
            AND ends_at < $1
        RETURNING id
    )
    SELECT count(*) FROM old
"""
_CHANGES = """
    WITH old AS (
        DELETE FROM alerts.change_events
        WHERE id = ANY(ARRAY(
            SELECT id FROM alerts.change_events WHERE at < $1 ORDER BY at LIMIT $2
        ))
        RETURNING id
    )
    SELECT count(*) FROM old
"""
_EVALUATIONS = """
    WITH old AS (
        DELETE FROM alerts.evaluations
        WHERE at = ANY(ARRAY(
            SELECT at FROM alerts.evaluations WHERE at < $1 ORDER BY at LIMIT $2
        ))
        RETURNING at
    )
    SELECT count(*) FROM old
"""
# One that was just made may be about to be used; a tick that chose one just now makes this wait.
_DIRECTORIES = """
    WITH old AS (
        DELETE FROM alerts.evaluation_directories AS d
        WHERE digest = ANY(ARRAY(
            SELECT digest FROM alerts.evaluation_directories AS unused
            WHERE made_at < least(now() - interval '1 hour', to_timestamp($1))
                AND NOT EXISTS (SELECT FROM alerts.evaluations AS e WHERE e.directory = unused.digest)
            LIMIT $2
        ))
        RETURNING digest
    )
    SELECT count(*) FROM old
"""
_FORGET: Mapping[str, str] = {
    "incidents": _INCIDENTS,
    "deliveries": _DELIVERIES,
    "silences": _SILENCES,
    "change_events": _CHANGES,
}
_FORGET_MEASURED: Mapping[str, str] = {
    "evaluations": _EVALUATIONS,
    "evaluation_directories": _DIRECTORIES,
}
HISTORY = tuple(_FORGET)
MEASURED = tuple(_FORGET_MEASURED)
_ALL = {**_FORGET, **_FORGET_MEASURED}


class Retention:
    """Removes the past: ``HISTORY`` and, much sooner, ``MEASURED``."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def forget(self, kind: str, before: float) -> bool:
        """Remove some of what ended before a time, and return whether more may be left."""
        removed: int = await self._pool.fetchval(_ALL[kind], before, ROWS)
        return removed == ROWS
