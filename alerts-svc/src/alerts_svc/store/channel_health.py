"""How the channels' deliveries went lately."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

# As many as make a channel one that fails, if none of them was delivered.
_LAST = 3
_READ = """
    SELECT
        c.name,
        coalesce(last.statuses, '{}') AS statuses,
        (SELECT count(*) FROM alerts.deliveries AS w WHERE w.channel = c.name AND w.status = 'waiting') AS waiting
    FROM alerts.channels AS c
    CROSS JOIN LATERAL (
        SELECT array_agg(status ORDER BY id DESC) AS statuses
        FROM (
            SELECT id, status
            FROM alerts.deliveries
            WHERE channel = c.name AND status IN ('sent', 'failed')
            ORDER BY id DESC
            LIMIT $1
        ) AS latest
    ) AS last
"""


@dataclass(frozen=True, slots=True)
class Health:
    """``given_up`` are the last deliveries that were, back to one that was not, at most three; ``waiting`` all that wait."""

    given_up: int
    waiting: int


async def read(pool: asyncpg.Pool[asyncpg.Record]) -> dict[str, Health]:
    """Return the health of every channel, by name."""
    return {
        row["name"]: Health(_failures(row["statuses"]), row["waiting"])
        for row in await pool.fetch(_READ, _LAST)
    }


def _failures(statuses: list[str]) -> int:
    return next((at for at, status in enumerate(statuses) if status == "sent"), len(statuses))
