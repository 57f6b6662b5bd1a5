"""Secrets of the service's own, made once and shared by its replicas."""

from __future__ import annotations

import secrets

import asyncpg

_BYTES = 32
_MAKE = "INSERT INTO flags.keys (name, secret) VALUES ($1, $2) ON CONFLICT DO NOTHING"
_GET = "SELECT secret FROM flags.keys WHERE name = $1"


class Keys:
    """Keys by what they are for."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def get(self, name: str) -> bytes:
        """Return a key, which is made if there is none yet."""
        found: bytes | None = await self._pool.fetchval(_GET, name)
        if found is None:
            # Whoever comes first makes it; a second statement sees what the other one made.
            await self._pool.execute(_MAKE, name, secrets.token_bytes(_BYTES))
            found = await self._pool.fetchval(_GET, name)
        assert found is not None
        return found
