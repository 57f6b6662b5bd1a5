"""Channels and their secrets."""

from __future__ import annotations

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.store import fencing
from alerts_svc.store.content import dump, load_settings, text
from windsock_kit.errors import ConflictError, NotFoundError
from windsock_kit.preconditions import changed_since

Connection = PoolConnectionProxy
CONSOLE = "console"

_ALL = """
    SELECT name, kind, settings, enabled, disabled_reason, version FROM alerts.channels ORDER BY name
"""
_ONE = """
    SELECT name, kind, settings, enabled, disabled_reason, version FROM alerts.channels
    WHERE name = $1
"""
_VERSION = "SELECT version FROM alerts.channels WHERE name = $1 FOR UPDATE"
_CREATE = """
    INSERT INTO alerts.channels (name, kind, settings, enabled, disabled_reason, version)
    VALUES ($1, $2, $3, $4, $5, 1)
    ON CONFLICT DO NOTHING
    RETURNING name, kind, settings, enabled, disabled_reason, version
"""
_REPLACE = """
    UPDATE alerts.channels
    SET kind = $2, settings = $3, enabled = $4, disabled_reason = $5, version = version + 1
    WHERE name = $1
    RETURNING name, kind, settings, enabled, disabled_reason, version
"""
_DELETE = "DELETE FROM alerts.channels WHERE name = $1"
_DISABLE = """
    UPDATE alerts.channels
    SET enabled = false, disabled_reason = $2, version = version + 1
    WHERE name = $1
"""


class Channels:
    """Channels as people configure them. There is always a ``console``."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def all(self) -> list[Channel]:
        """Return all channels by name, secrets included."""
        return await read(self._pool)

    async def get(self, name: str) -> Channel:
        """Return one channel."""
        row = await self._pool.fetchrow(_ONE, text(name))
        if row is None:
            raise _unknown(name)
        return _channel(row)

    async def create(self, channel: Channel) -> Channel:
        """Store a new channel and return it, at version 1."""
        async with self._pool.acquire() as connection, connection.transaction():
            await fencing.grow(connection)
            row = await connection.fetchrow(_CREATE, *_values(channel))
        if row is None:
            raise ConflictError(f"there is a channel {channel.name} already")
        return _channel(row)

    async def replace(self, channel: Channel, expected_version: int | None = None) -> Channel:
        """Store a channel in place of the one of its name and return it."""
        async with self._pool.acquire() as connection, connection.transaction():
            await fencing.grow(connection)
            await _expect(connection, channel.name, expected_version)
            row = await connection.fetchrow(_REPLACE, *_values(channel))
        assert row is not None
        return _channel(row)

    async def delete(self, name: str, expected_version: int | None = None) -> None:
        """Remove a channel; whoever sends turns what waits for it over to the fallback and the console."""
        if name == CONSOLE:
            raise ConflictError("the console cannot be deleted")
        async with self._pool.acquire() as connection, connection.transaction():
            await fencing.grow(connection)
            await _expect(connection, name, expected_version)
            await connection.execute(_DELETE, name)


async def read(
    source: asyncpg.Pool[asyncpg.Record] | Connection[asyncpg.Record],
) -> list[Channel]:
    """Return all channels by name, secrets included."""
    return [_channel(row) for row in await source.fetch(_ALL)]


async def disable(connection: Connection[asyncpg.Record], name: str, reason: str) -> None:
    """Stop using a channel, in the caller's transaction."""
    await fencing.grow(connection)
    await connection.execute(_DISABLE, name, text(reason))


async def _expect(connection: Connection[asyncpg.Record], name: str, expected: int | None) -> None:
    version = await connection.fetchval(_VERSION, text(name))
    if version is None:
        raise _unknown(name)
    if expected is not None and version != expected:
        raise changed_since(f"channel {name}", version)


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(f"there is no channel {name}")


def _values(channel: Channel) -> tuple[object, ...]:
    reason = channel.disabled_reason
    return (
        text(channel.name),
        channel.kind,
        dump(channel.settings),
        channel.enabled,
        None if reason is None else text(reason),
    )


def _channel(row: asyncpg.Record) -> Channel:
    return Channel(
        name=row["name"],
        kind=Kind(row["kind"]),
        settings=load_settings(row["settings"]),
        enabled=row["enabled"],
        disabled_reason=row["disabled_reason"],
        version=row["version"],
    )
