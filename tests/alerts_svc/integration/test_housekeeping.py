from __future__ import annotations

from typing import Any

from alerts_svc.housekeeping import Housekeeping, Periods
from alerts_svc.store.retention import ROWS, Retention
from alerts_svc.timekeeper import Timekeeper

_SILENCE = "INSERT INTO alerts.silences (id, starts_at, ends_at, content) VALUES ($1, 0, $2, '{}')"
_CHANGE = """
    INSERT INTO alerts.change_events (id, kind, name, description, author, at)
    VALUES ($1, 'flag', '', '', '', $2)
"""


async def test_what_is_older_than_it_is_kept_is_forgotten(pool: Any) -> None:
    now = 1_000_000.0
    for name, age in (("old", 2_000.0), ("new", 500.0)):
        await pool.execute(_SILENCE, name, now - age)
        await pool.execute(_CHANGE, name, now - age)
    housekeeping = Housekeeping(
        Retention(pool), Periods(measured=10.0, history=1_000.0), Timekeeper(clock=lambda: now)
    )

    more = await housekeeping.tick()

    assert not more
    assert await pool.fetchval("SELECT array_agg(id) FROM alerts.silences") == ["new"]
    assert await pool.fetchval("SELECT array_agg(id) FROM alerts.change_events") == ["new"]


async def test_very_much_is_forgotten_in_several_ticks(pool: Any) -> None:
    await pool.execute(
        "INSERT INTO alerts.silences (id, starts_at, ends_at, content)"
        " SELECT n::text, 0, 0, '{}' FROM generate_series(1, $1) AS n",
        12 * ROWS,
    )
    housekeeping = Housekeeping(
        Retention(pool), Periods(measured=10.0, history=10.0), Timekeeper(clock=lambda: 1_000.0)
    )

    more = [await housekeeping.tick() for _ in range(2)]

    assert more == [True, False]
    assert await pool.fetchval("SELECT count(*) FROM alerts.silences") == 0
