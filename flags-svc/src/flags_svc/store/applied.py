"""How soon changes were in force, over all processes."""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg

# Where the counts of writers go that are no more.
_GONE = ""

_PUT = """
    INSERT INTO flags.applied AS held (writer, le, count, updated_at)
    SELECT $1, le, count, $4 FROM unnest($2::float8[], $3::bigint[]) AS g (le, count)
    ORDER BY le
    ON CONFLICT (writer, le) DO UPDATE
    SET count = greatest(held.count, excluded.count), updated_at = excluded.updated_at
"""
_TOTAL = "SELECT le, sum(count)::bigint AS count FROM flags.applied GROUP BY le ORDER BY le"
# A writer that still reports itself goes on with its own counts.
_FOLD = """
    WITH old AS (
        DELETE FROM flags.applied
        WHERE writer <> $1 AND updated_at < $2
            AND writer NOT IN (SELECT instance FROM flags.instances)
        RETURNING le, count, updated_at
    )
    INSERT INTO flags.applied AS held (writer, le, count, updated_at)
    SELECT $1, le, sum(count), max(updated_at) FROM old GROUP BY le ORDER BY le
    ON CONFLICT (writer, le) DO UPDATE
    SET count = held.count + excluded.count, updated_at = excluded.updated_at
"""


class Applied:
    """A histogram of the time from change to in force. Each writer has counters of its own, which only grow."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def put(self, writer: str, counts: Mapping[float, int], *, at: float) -> None:
        """Store all that a writer has counted so far, by the upper bound of each bucket alone (not cumulated).

        ``writer`` is the instance as which it reports itself.
        """
        await self._pool.execute(_PUT, writer, [*counts], [*counts.values()], at)

    async def total(self) -> dict[float, int]:
        """Return the counts of all writers by upper bound, the least first."""
        return {row["le"]: row["count"] for row in await self._pool.fetch(_TOTAL)}

    async def fold(self, before: float) -> None:
        """Add up the counts of writers that are gone and have written nothing since ``before``."""
        await self._pool.execute(_FOLD, _GONE, before)
