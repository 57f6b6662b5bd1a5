"""How far alerts-svc has been told of changes, and whose turn it is to tell."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import asyncpg
from asyncpg.pool import PoolConnectionProxy

Connection = PoolConnectionProxy
# Any constant will do as long as nobody else takes the same one.
_TURN = 4_101_958_003

_TAKE = "SELECT pg_try_advisory_lock($1)"
_FAR = "SELECT revision FROM flags.told"
_MOVE = "UPDATE flags.told SET revision = $1 WHERE revision < $1"


class Turn:
    """To be the one who tells."""

    def __init__(self, connection: Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def revision(self) -> int:
        """Return up to which revision all has been told."""
        revision: int = await self._connection.fetchval(_FAR)
        return revision

    async def move(self, revision: int) -> None:
        """Note that all up to ``revision`` has been told."""
        await self._connection.execute(_MOVE, revision)


class Told:
    """Lets one process at a time tell."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[Turn | None]:
        """Give the turn for the block, ``None`` if another process has it.

        Who dies, or loses the database, loses the turn: what he was just telling is then told again.
        """
        async with self._pool.acquire() as connection:
            # The pool gives the lock back together with the connection.
            yield Turn(connection) if await connection.fetchval(_TAKE, _TURN) else None
