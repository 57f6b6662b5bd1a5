"""Bringing a store back to what it is right after the migrations."""

from __future__ import annotations

import asyncpg

_EMPTY = """
    TRUNCATE alerts.rules, alerts.seeded, alerts.silences, alerts.channels, alerts.configuration, alerts.inbox,
        alerts.change_events, alerts.keys, alerts.alerts, alerts.incidents, alerts.transitions, alerts.decisions,
        alerts.groups, alerts.evaluations, alerts.evaluation_directories, alerts.deliveries,
        alerts.delivery_items, alerts.delivery_waits, alerts.attempts;
    INSERT INTO alerts.channels (name, version, kind, settings, enabled)
    VALUES ('console', 1, 'console', '{}', true);
    UPDATE alerts.leases
    SET owner = '', fence = 0, expires_at = '-infinity', own = extract(epoch FROM clock_timestamp()),
        wall = extract(epoch FROM clock_timestamp());
    UPDATE alerts.revision SET value = 1;
    UPDATE alerts.heartbeat SET at = NULL;
"""


async def emptied(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """Forget everything; nobody acts afterwards."""
    await pool.execute(_EMPTY)
