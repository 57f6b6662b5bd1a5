"""Writing one decision: all of it in the caller's transaction, one statement for each kind of row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from alerts_svc.domain.alert import Alert, Change, Decision, Transition
from alerts_svc.domain.world import Changes, Group
from alerts_svc.store.content import dump, group_hash, text
from alerts_svc.store.evaluations import append
from alerts_svc.store.outbox import enqueue

Connection = PoolConnectionProxy


async def write(connection: Connection[asyncpg.Record], changes: Changes, *, since: float) -> None:
    """Write ``changes``; what is there already stays. ``since`` is when the messages come into the outbox."""
    if changes.alerts:
        await _alerts(connection, changes.alerts)
    if changes.forgotten:
        await connection.execute(_FORGET, changes.forgotten)
    if changes.transitions:
        await _transitions(connection, changes)
    if changes.messages:
        await enqueue(connection, changes.messages, since=since)
    if changes.evaluation is not None:
        await append(connection, changes.evaluation)
    await _rest(connection, changes)


async def _rest(connection: Connection[asyncpg.Record], changes: Changes) -> None:
    if changes.decisions:
        await _decisions(connection, changes.decisions)
    if changes.groups:
        await _groups(connection, changes.groups)
    if changes.ended_groups:
        await connection.execute(_END, [group_hash(key) for key in changes.ended_groups])
    if changes.consumed:
        await connection.execute(_CONSUME, changes.consumed)
    if changes.heartbeat_at is not None:
        await connection.execute(_HEARTBEAT, changes.heartbeat_at)


_PUT = """
    INSERT INTO alerts.alerts (fingerprint, rule, state, severity, incident, started_at, content)
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::float8[], $7::jsonb[]
    )
    ON CONFLICT (fingerprint) DO UPDATE
    SET rule = excluded.rule,
        state = excluded.state,
        severity = excluded.severity,
        incident = excluded.incident,
        started_at = excluded.started_at,
        content = excluded.content
"""
_FORGET = "DELETE FROM alerts.alerts WHERE fingerprint = ANY($1::text[])"
_CONSUME = "DELETE FROM alerts.inbox WHERE id = ANY($1::bigint[])"
_HEARTBEAT = "UPDATE alerts.heartbeat SET at = $1"


async def _alerts(connection: Connection[asyncpg.Record], alerts: Sequence[Alert]) -> None:
    # The last of one fingerprint counts; a statement may not touch a row twice.
    rows = [_row(alert) for alert in {alert.fingerprint: alert for alert in alerts}.values()]
    await connection.execute(_PUT, *_columns(rows))


def _row(alert: Alert) -> tuple[object, ...]:
    incident = alert.incident
    return (
        alert.fingerprint,
        None if alert.rule is None else text(alert.rule),
        alert.state,
        incident.severity if incident else alert.severity,
        incident.id if incident else None,
        incident.started_at if incident else alert.active_at,
        dump(alert),
    )


_INCIDENTS = """
    INSERT INTO alerts.incidents AS held (
        id, fingerprint, rule, labels, annotations, severity, started_at, ended_at, end_reason
    )
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::jsonb[], $5::jsonb[], $6::text[], $7::float8[],
        $8::float8[], $9::text[]
    )
    ON CONFLICT (id) DO UPDATE
    SET severity = CASE WHEN held.severity = 'critical' THEN held.severity ELSE excluded.severity END,
        ended_at = coalesce(held.ended_at, excluded.ended_at),
        end_reason = coalesce(held.end_reason, excluded.end_reason)
"""
_TRANSITIONS = """
    INSERT INTO alerts.transitions (
        incident, sequence, fingerprint, change, at, severity, value, threshold, reason
    )
    SELECT * FROM unnest(
        $1::text[], $2::integer[], $3::text[], $4::text[], $5::float8[], $6::text[], $7::float8[],
        $8::float8[], $9::text[]
    )
    ON CONFLICT DO NOTHING
"""


@dataclass(slots=True)
class _Episode:
    """An incident as one commit knows it."""

    first: Transition
    severity: str | None = None
    ended_at: float | None = None
    end_reason: str | None = None

    def add(self, transition: Transition) -> None:
        if self.severity != "critical":
            self.severity = transition.severity or self.severity
        if transition.change is Change.RESOLVED:
            self.ended_at, self.end_reason = transition.at, text(transition.reason)


async def _transitions(connection: Connection[asyncpg.Record], changes: Changes) -> None:
    alerts = {alert.fingerprint: alert for alert in changes.alerts}
    episodes: dict[str, _Episode] = {}
    for transition in changes.transitions:
        episodes.setdefault(transition.incident, _Episode(transition)).add(transition)
    incidents = [_incident(e, alerts.get(e.first.fingerprint)) for e in episodes.values()]
    await connection.execute(_INCIDENTS, *_columns(incidents))
    rows = [
        (
            *(t.incident, t.sequence, t.fingerprint, t.change, t.at),
            *(t.severity, t.value, t.threshold, text(t.reason)),
        )
        for t in changes.transitions
    ]
    await connection.execute(_TRANSITIONS, *_columns(rows))


def _incident(episode: _Episode, alert: Alert | None) -> tuple[object, ...]:
    first = episode.first
    held = alert.incident if alert and alert.incident else None
    return (
        first.incident,
        first.fingerprint,
        text(alert.rule) if alert and alert.rule is not None else None,
        dump(alert.labels if alert else {}),
        dump(alert.annotations if alert else {}),
        episode.severity,
        held.started_at if held and held.id == first.incident else first.at,
        episode.ended_at,
        episode.end_reason,
    )


_DECISIONS = """
    INSERT INTO alerts.decisions (incident, at, change, outcome, fingerprint, reason)
    SELECT * FROM unnest($1::text[], $2::float8[], $3::text[], $4::text[], $5::text[], $6::text[])
    ON CONFLICT DO NOTHING
"""
_GROUPS = """
    INSERT INTO alerts.groups (hash, key, thread, sent_at)
    SELECT * FROM unnest($1::bytea[], $2::text[], $3::text[], $4::float8[])
    ON CONFLICT (hash) DO UPDATE
    SET thread = excluded.thread, sent_at = excluded.sent_at
"""
_END = "DELETE FROM alerts.groups WHERE hash = ANY($1::bytea[])"


async def _decisions(connection: Connection[asyncpg.Record], decisions: Sequence[Decision]) -> None:
    rows = [
        (d.incident, d.at, d.change, text(d.outcome), d.fingerprint, text(d.reason))
        for d in decisions
    ]
    await connection.execute(_DECISIONS, *_columns(rows))


async def _groups(connection: Connection[asyncpg.Record], groups: Sequence[Group]) -> None:
    rows = {
        group_hash(g.key): (group_hash(g.key), text(g.key), text(g.thread), g.sent_at)
        for g in groups
    }
    await connection.execute(_GROUPS, *_columns(rows.values()))


def _columns(rows: Iterable[tuple[object, ...]]) -> list[tuple[object, ...]]:
    return list(zip(*rows, strict=True))
