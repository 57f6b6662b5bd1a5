"""Bringing a store back to what it is right after the migrations."""

from __future__ import annotations

import asyncpg

_EMPTY = """
    TRUNCATE flags.items, flags.changes, flags.keys, flags.change_requests, flags.votes, flags.instances,
        flags.applied, flags.usage RESTART IDENTITY;
    UPDATE flags.head SET epoch = replace(gen_random_uuid()::text, '-', ''), revision = 0;
    UPDATE flags.told SET revision = 0;
"""


async def emptied(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """Forget everything; it is another life of the database then, with an epoch of its own."""
    await pool.execute(_EMPTY)
