"""How often flags were evaluated: counts by environment, flag, day and variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from flags_svc.domain.staleness import Used
from flags_svc.store.content import text

Connection = PoolConnectionProxy
# A variant's name is never empty, so this stands for the caller's own default.
_DEFAULT = ""
ROWS = 2_000

# Nobody evaluates so often; a count that somebody made up stays here, and holds nobody else's up.
MOST = 2**53 - 1

# In the order of the key, so that two who count at once wait for each other and not in a circle.
_COUNT = """
    INSERT INTO flags.usage AS held (environment, flag, day, variant, count, last_at)
    SELECT environment, flag, $5::date, variant, least(sum(count), $7), $6
    FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS g (environment, flag, variant, count)
    GROUP BY environment, flag, variant
    ORDER BY environment, flag, variant
    ON CONFLICT (environment, flag, day, variant) DO UPDATE
    SET count = least(held.count + excluded.count, $7), last_at = greatest(held.last_at, excluded.last_at)
"""
_SINCE = """
    SELECT flag, environment, variant, sum(count)::bigint AS count, max(last_at) AS last_at
    FROM flags.usage
    WHERE day >= $1
    GROUP BY flag, environment, variant
    ORDER BY flag, environment, variant
"""
_FORGET = """
    WITH old AS (
        DELETE FROM flags.usage
        WHERE ctid = ANY(ARRAY(SELECT ctid FROM flags.usage WHERE day < $1 LIMIT $2))
        RETURNING flag
    )
    SELECT count(*) FROM old
"""


class Usage:
    """What was evaluated, to the day."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def since(self, begin: float) -> Mapping[str, Sequence[Used]]:
        """Return, by flag, what was evaluated from the day of ``begin`` on."""
        found: dict[str, list[Used]] = {}
        for row in await self._pool.fetch(_SINCE, _day(begin)):
            used = Used(row["environment"], row["variant"] or None, row["count"], row["last_at"])
            found.setdefault(row["flag"], []).append(used)
        return found

    async def forget(self, before: float) -> bool:
        """Remove some of the days before that of ``before``, and return whether more may be left."""
        removed: int = await self._pool.fetchval(_FORGET, _day(before), ROWS)
        return removed == ROWS


# Of a flag in an environment: how often it gave which variant, ``None`` being the caller's default.
Counts = Mapping[tuple[str, str, str | None], int]


async def count(connection: Connection[asyncpg.Record], counts: Counts, *, at: float) -> None:
    """Add to the counts of the day of ``at``."""
    names = [*counts]
    await connection.execute(
        _COUNT,
        [text(environment) for environment, _, _ in names],
        [text(flag) for _, flag, _ in names],
        [_DEFAULT if variant is None else text(variant) for _, _, variant in names],
        [min(counts[name], MOST) for name in names],
        _day(at),
        at,
        MOST,
    )


def _day(at: float) -> date:
    return datetime.fromtimestamp(at, UTC).date()
