"""Who acts, for people who ask."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

_WHO = """
    SELECT
        owner, fence,
        expires_at > clock_timestamp() AS acts,
        (SELECT max(at) FROM alerts.evaluations) AS evaluated_at,
        (SELECT count(*) FROM alerts.inbox) AS inbox,
        (SELECT count(*) FROM alerts.deliveries WHERE status = 'waiting') AS waiting
    FROM alerts.leases
    WHERE name = 'acting'
"""


@dataclass(frozen=True, slots=True)
class Acting:
    """The lease as the store has it. ``evaluated_at`` is own time; ``inbox`` and ``waiting`` count what is to be done."""

    owner: str
    fence: int
    acts: bool
    evaluated_at: float | None
    inbox: int
    waiting: int


async def acting(pool: asyncpg.Pool[asyncpg.Record]) -> Acting:
    """Return who acts, and what waits."""
    row = await pool.fetchrow(_WHO)
    assert row is not None
    return Acting(
        row["owner"], row["fence"], row["acts"], row["evaluated_at"], row["inbox"], row["waiting"]
    )
