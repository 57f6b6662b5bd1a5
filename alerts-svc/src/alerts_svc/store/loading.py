"""Reading the world, in one snapshot."""

from __future__ import annotations

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from alerts_svc.domain.message import ChangeEvent
from alerts_svc.domain.world import Group, World
from alerts_svc.store import channels, configurations
from alerts_svc.store.content import load_alert, load_rule, load_silence

Connection = PoolConnectionProxy
CHANGES_SECONDS = 24 * 3600.0
# Messages tell of a few; whatever deploys and flips flags may tell of many.
MOST_CHANGES = 1_000
# What has ended lately is in force again if the clock is set back.
_ENDED_SECONDS = 24 * 3600.0

_FIRST = """
    SELECT
        (SELECT value FROM alerts.revision) AS revision,
        (SELECT at FROM alerts.heartbeat) AS heartbeat_at
"""
_RULES = "SELECT definition, version FROM alerts.rules ORDER BY name"
_ALERTS = "SELECT content FROM alerts.alerts"
_GROUPS = "SELECT key, thread, sent_at FROM alerts.groups"
_SILENCES = """
    SELECT content FROM alerts.silences
    WHERE ends_at > extract(epoch FROM clock_timestamp()) - $1::float8
"""
_CHANGES = """
    SELECT id, kind, name, description, author, at
    FROM alerts.change_events
    WHERE at > extract(epoch FROM clock_timestamp()) - $1::float8
    ORDER BY at DESC
    LIMIT $2
"""


async def world(connection: Connection[asyncpg.Record]) -> World:
    """Return everything a decision depends on; the caller's transaction makes it one snapshot."""
    first = await connection.fetchrow(_FIRST)
    assert first is not None
    rules = [
        load_rule(row["definition"], version=row["version"])
        for row in await connection.fetch(_RULES)
    ]
    alerts = [load_alert(row["content"]) for row in await connection.fetch(_ALERTS)]
    silences = [
        load_silence(row["content"]) for row in await connection.fetch(_SILENCES, _ENDED_SECONDS)
    ]
    changes = await connection.fetch(_CHANGES, CHANGES_SECONDS, MOST_CHANGES)
    return World(
        revision=first["revision"],
        rules={rule.name: rule for rule in rules},
        alerts={alert.fingerprint: alert for alert in alerts},
        groups={row["key"]: Group(*row.values()) for row in await connection.fetch(_GROUPS)},
        silences={silence.id: silence for silence in silences},
        channels={channel.name: channel for channel in await channels.read(connection)},
        configuration=await configurations.read(connection),
        changes=tuple(ChangeEvent(*row.values()) for row in changes),
        heartbeat_at=first["heartbeat_at"],
    )
