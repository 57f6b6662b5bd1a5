"""Routes, grouping, inhibition and mute windows: one document."""

from __future__ import annotations

from dataclasses import replace

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from alerts_svc.domain.configuration import Configuration
from alerts_svc.store import fencing
from alerts_svc.store.content import dump, load_configuration
from windsock_kit.preconditions import changed_since

Connection = PoolConnectionProxy

_READ = "SELECT version, content FROM alerts.configuration"
_WRITE = """
    INSERT INTO alerts.configuration (version, content) VALUES ($1, $2)
    ON CONFLICT (one) DO UPDATE SET version = excluded.version, content = excluded.content
"""
_SEED = """
    INSERT INTO alerts.configuration (version, content) VALUES (1, $1)
    ON CONFLICT DO NOTHING
    RETURNING version
"""


class Configurations:
    """The configuration; before anybody has set one, it is the built-in one, at version 1."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def get(self) -> Configuration:
        """Return what is in force."""
        return await read(self._pool)

    async def seed(self, default: Configuration) -> None:
        """Put ``default`` in force, unless something is."""
        async with self._pool.acquire() as connection, connection.transaction():
            if await connection.fetchval(_SEED, dump(default)):
                await fencing.grow(connection)

    async def replace(
        self, configuration: Configuration, expected_version: int | None = None
    ) -> Configuration:
        """Put a document in force and return it with its version."""
        async with self._pool.acquire() as connection, connection.transaction():
            # The revision's row is held from here, so nobody else changes the document meanwhile.
            await fencing.grow(connection)
            held = await read(connection)
            if expected_version is not None and held.version != expected_version:
                raise changed_since("the configuration", held.version)
            made = replace(configuration, version=held.version + 1)
            await connection.execute(_WRITE, made.version, dump(made))
        return made


async def read(
    source: asyncpg.Pool[asyncpg.Record] | Connection[asyncpg.Record],
) -> Configuration:
    """Return what is in force."""
    row = await source.fetchrow(_READ)
    if row is None:
        return Configuration()
    return replace(load_configuration(row["content"]), version=row["version"])
