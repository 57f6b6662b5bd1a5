"""Alerts and their incidents as people see them: what is active, what was, and why it was told or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from alerts_svc.domain.alert import Alert, Change, Decision, State, Transition
from alerts_svc.domain.severity import Severity
from alerts_svc.store.content import dump, load_alert, load_labels, text


@dataclass(frozen=True, slots=True)
class Episode:
    """An incident as history keeps it; ``severity`` is the greatest that it had. Times are the service's own.

    ``ended_at`` and ``end_reason`` are ``None`` while it is open.
    """

    id: str
    fingerprint: str
    rule: str | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    severity: Severity | None
    started_at: float
    ended_at: float | None
    end_reason: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """What an id stands for: the alert if it is kept, and the incident (its last one, for a fingerprint)."""

    alert: Alert | None
    episode: Episode | None


@dataclass(frozen=True, slots=True)
class Line:
    """What an incident went through, each oldest first."""

    transitions: Sequence[Transition]
    decisions: Sequence[Decision]


@dataclass(frozen=True, slots=True)
class Past:
    """Which incidents of the past are wanted: those open at any time from ``start`` up to ``end`` (own time).

    ``rules`` are names, ``labels`` what an incident must carry; ``before`` is the start and the id of the last one
    of the page before.
    """

    start: float
    end: float
    rules: Sequence[str] | None = None
    severity: str | None = None
    labels: Mapping[str, str] | None = None
    before: tuple[float, str] | None = None
    limit: int = 100


# What is only remembered for its cooldown is not active.
_ACTIVE = """
    SELECT content
    FROM alerts.alerts
    WHERE (state <> 'inactive' OR incident IS NOT NULL)
        AND ($1::text[] IS NULL OR state = ANY($1))
        AND ($2::text IS NULL OR severity = $2)
        AND ($3::text[] IS NULL OR rule = ANY($3))
        AND ($4::jsonb IS NULL OR content -> 'labels' @> $4)
    ORDER BY started_at DESC NULLS LAST, fingerprint
    LIMIT $5
"""
_COUNTS = """
    SELECT state, severity, count(*) AS number
    FROM alerts.alerts
    WHERE state <> 'inactive' OR incident IS NOT NULL
    GROUP BY state, severity
"""
_ALERT = """
    SELECT content FROM alerts.alerts WHERE fingerprint = $1
    UNION ALL
    SELECT content FROM alerts.alerts WHERE incident = $1
    LIMIT 1
"""
_INCIDENT = """
    SELECT id, fingerprint, rule, labels, annotations, severity, started_at, ended_at, end_reason
    FROM alerts.incidents
    WHERE id = $1
"""
_LAST = """
    SELECT id, fingerprint, rule, labels, annotations, severity, started_at, ended_at, end_reason
    FROM alerts.incidents
    WHERE fingerprint = $1
    ORDER BY started_at DESC
    LIMIT 1
"""
_HISTORY = """
    SELECT id, fingerprint, rule, labels, annotations, severity, started_at, ended_at, end_reason
    FROM alerts.incidents
    WHERE started_at < $2
        AND (ended_at IS NULL OR ended_at >= $1)
        AND ($3::text[] IS NULL OR rule = ANY($3))
        AND ($4::text IS NULL OR severity = $4)
        AND ($5::jsonb IS NULL OR labels @> $5)
        AND ($6::float8 IS NULL OR (started_at, id) < ($6, $7))
    ORDER BY started_at DESC, id DESC
    LIMIT $8
"""
_TRANSITIONS = """
    SELECT incident, fingerprint, sequence, change, at, severity, value, threshold, reason
    FROM alerts.transitions
    WHERE incident = $1
    ORDER BY sequence
    LIMIT $2
"""
_DECISIONS = """
    SELECT incident, fingerprint, at, change, outcome, reason
    FROM alerts.decisions
    WHERE incident = $1
    ORDER BY at
    LIMIT $2
"""


class Alerts:
    """Reads of alerts and incidents; only the one that acts changes them."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def active(
        self,
        *,
        states: Sequence[State] | None = None,
        severity: str | None = None,
        rules: Sequence[str] | None = None,
        labels: Mapping[str, str] | None = None,
        limit: int | None = None,
    ) -> list[Alert]:
        """Return alerts that pend, fire, or are of unknown state, the last to begin first."""
        rows = await self._pool.fetch(
            _ACTIVE, states, severity, _names(rules), _json(labels), limit
        )
        return [load_alert(row["content"]) for row in rows]

    async def counts(self) -> dict[tuple[State, Severity | None], int]:
        """Return how many active alerts there are by state and severity."""
        rows = await self._pool.fetch(_COUNTS)
        return {(State(row["state"]), _severity(row["severity"])): row["number"] for row in rows}

    async def by_id(self, identity: str) -> Found:
        """Return what stands under a fingerprint or an incident's id; both parts may be ``None``."""
        name = text(identity)
        content = await self._pool.fetchval(_ALERT, name)
        alert = None if content is None else load_alert(content)
        row = await self._pool.fetchrow(_INCIDENT, name)
        if row is None:
            row = await self._pool.fetchrow(_LAST, name)
        episode = None if row is None else _episode(row)
        if alert is None and episode is not None:
            content = await self._pool.fetchval(_ALERT, episode.fingerprint)
            alert = None if content is None else load_alert(content)
        return Found(alert, episode)

    async def history(self, past: Past) -> list[Episode]:
        """Return incidents, the last to begin first."""
        at, identity = past.before or (None, None)
        rows = await self._pool.fetch(
            _HISTORY,
            past.start,
            past.end,
            _names(past.rules),
            past.severity,
            _json(past.labels),
            at,
            None if identity is None else text(identity),
            past.limit,
        )
        return [_episode(row) for row in rows]

    async def line(self, incident: str, *, limit: int = 1000) -> Line:
        """Return what an incident went through, at most ``limit`` of each kind."""
        transitions = await self._pool.fetch(_TRANSITIONS, text(incident), limit)
        decisions = await self._pool.fetch(_DECISIONS, text(incident), limit)
        return Line(
            [_transition(row) for row in transitions], [_decision(row) for row in decisions]
        )


def _json(labels: Mapping[str, str] | None) -> str | None:
    return dump(labels) if labels else None


def _names(rules: Sequence[str] | None) -> list[str] | None:
    return None if rules is None else [text(name) for name in rules]


def _severity(held: str | None) -> Severity | None:
    return None if held is None else Severity(held)


def _episode(row: asyncpg.Record) -> Episode:
    return Episode(
        id=row["id"],
        fingerprint=row["fingerprint"],
        rule=row["rule"],
        labels=load_labels(row["labels"]),
        annotations=load_labels(row["annotations"]),
        severity=_severity(row["severity"]),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        end_reason=row["end_reason"],
    )


def _transition(row: asyncpg.Record) -> Transition:
    return Transition(
        incident=row["incident"],
        fingerprint=row["fingerprint"],
        sequence=row["sequence"],
        change=Change(row["change"]),
        at=row["at"],
        severity=_severity(row["severity"]),
        value=row["value"],
        threshold=row["threshold"],
        reason=row["reason"],
    )


def _decision(row: asyncpg.Record) -> Decision:
    return Decision(
        incident=row["incident"],
        fingerprint=row["fingerprint"],
        at=row["at"],
        change=Change(row["change"]),
        outcome=row["outcome"],
        reason=row["reason"],
    )
