"""Silences."""

from __future__ import annotations

from dataclasses import replace

import asyncpg

from alerts_svc.domain.silence import Silence
from alerts_svc.store import fencing
from alerts_svc.store.content import dump, load_silence, text
from windsock_kit.errors import ConflictError, NotFoundError

_ALL = "SELECT content FROM alerts.silences ORDER BY ends_at DESC, id"
_ONE = "SELECT content FROM alerts.silences WHERE id = $1"
_CREATE = """
    INSERT INTO alerts.silences (id, starts_at, ends_at, content) VALUES ($1, $2, $3, $4)
    ON CONFLICT DO NOTHING
"""
_REPLACE = """
    UPDATE alerts.silences SET starts_at = $2, ends_at = $3, content = $4 WHERE id = $1
"""
_NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"


class Silences:
    """Silences as people set them; in force as soon as a method has returned, whatever happens then."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def now(self) -> float:
        """Return the database's clock: what begins now begins by that of no replica."""
        found: float = await self._pool.fetchval(_NOW)
        return found

    async def all(self) -> list[Silence]:
        """Return all silences, those that have ended too, while they are kept; the last to end first."""
        return [load_silence(row["content"]) for row in await self._pool.fetch(_ALL)]

    async def get(self, number: str) -> Silence:
        """Return one silence."""
        row = await self._pool.fetchrow(_ONE, text(number))
        if row is None:
            raise _unknown(number)
        return load_silence(row["content"])

    async def create(self, silence: Silence) -> Silence:
        """Store a new silence and return it as it is kept."""
        async with self._pool.acquire() as connection, connection.transaction():
            await fencing.grow(connection)
            made = replace(silence, updated_at=await connection.fetchval(_NOW))
            if (await connection.execute(_CREATE, *_values(made))).endswith(" 0"):
                raise ConflictError(f"there is a silence {silence.id} already")
        return made

    async def replace(self, silence: Silence) -> Silence:
        """Store a silence in place of the one of its id and return it as it is kept."""
        async with self._pool.acquire() as connection, connection.transaction():
            await fencing.grow(connection)
            made = replace(silence, updated_at=await connection.fetchval(_NOW))
            if (await connection.execute(_REPLACE, *_values(made))).endswith(" 0"):
                raise _unknown(silence.id)
        return made

    async def expire(self, number: str) -> Silence:
        """End a silence now, by the database's clock, unless it has ended, and return it."""
        async with self._pool.acquire() as connection, connection.transaction():
            await fencing.grow(connection)
            row = await connection.fetchrow(_ONE, text(number))
            if row is None:
                raise _unknown(number)
            held = load_silence(row["content"])
            now = await connection.fetchval(_NOW)
            if held.ends_at <= now:
                return held
            made = replace(held, starts_at=min(held.starts_at, now), ends_at=now, updated_at=now)
            await connection.execute(_REPLACE, *_values(made))
        return made


def _values(silence: Silence) -> tuple[object, ...]:
    return (text(silence.id), silence.starts_at, silence.ends_at, dump(silence))


def _unknown(number: str) -> NotFoundError:
    return NotFoundError(f"there is no silence {number}")
