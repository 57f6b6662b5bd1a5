"""An alert through its life: its state, and the incident that it may have open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from alerts_svc.domain.labels import Labels
from alerts_svc.domain.severity import Severity


class State(StrEnum):
    """What the last evaluation left the alert in."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    NO_DATA = "no_data"
    ERROR = "error"


class Change(StrEnum):
    """A transition of an incident; each has the next number of its incident."""

    FIRED = "fired"
    ESCALATED = "escalated"
    DEESCALATED = "deescalated"
    NO_DATA = "no_data"
    RESUMED = "resumed"
    REMINDER = "reminder"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


# What people are told; the others stand in the timeline alone (PagerDuty is told of ACKNOWLEDGED too).
TOLD = frozenset({Change.FIRED, Change.ESCALATED, Change.NO_DATA, Change.REMINDER, Change.RESOLVED})


@dataclass(frozen=True, slots=True)
class Incident:
    """One episode of an alert, from fired to resolved. Times are the service's own (see ``timekeeping``).

    ``sequence`` is the number of the last transition. ``owed`` is the transition that is still to be told, since
    ``owed_at``, and ``held_by`` says what holds it back, if anything does (``silence:ID``, ``inhibition:FINGERPRINT``,
    ``mute:NAME``, ``cooldown``, ``acknowledged``, ``group_interval``).
    ``channels`` have been given a message about it, and so will be given its resolve. ``behind`` are those that the others
    are ahead of: they are to be told of it as it is then, whatever is owed.
    ``told_severity`` is the greatest that was told. ``told_at`` is when anything was told last. ``began_at`` is its start
    by the true time, as it was told first: so that all messages say the same, whatever clocks have done in between.
    ``event_at`` is the newest event (Unix seconds, of the sender) that the breach was first seen with, if known, and
    ``seen_at`` when that was seen. ``no_data_at`` is when ``no_data`` was entered, until there is data again.
    """

    id: str
    started_at: float
    sequence: int
    severity: Severity
    owed: Change | None = None
    owed_at: float | None = None
    held_by: str | None = None
    channels: frozenset[str] = frozenset()
    behind: frozenset[str] = frozenset()
    told_severity: Severity | None = None
    told_at: float | None = None
    acknowledged_until: float | None = None
    acknowledged_by: str | None = None
    resolved_at: float | None = None
    event_at: float | None = None
    seen_at: float | None = None
    no_data_at: float | None = None
    began_at: float | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert of a rule, or from elsewhere (``rule`` is ``None``). Times are the service's own.

    ``active_at`` is since when the condition holds without a break, ``clear_at`` since when a firing one no longer does,
    ``no_data_at`` since when nothing is known. ``fired_at`` and ``fired_severity`` are of the last ``fired`` that
    was told: the cooldown counts from there. ``expires_at`` is until when the sender of an alert from elsewhere
    vouches for it.
    """

    fingerprint: str
    labels: Labels
    rule: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    state: State = State.INACTIVE
    severity: Severity | None = None
    value: float | None = None
    threshold: float | None = None
    samples: float = 0.0
    active_at: float | None = None
    clear_at: float | None = None
    no_data_at: float | None = None
    fired_at: float | None = None
    fired_severity: Severity | None = None
    incident: Incident | None = None
    expires_at: float | None = None
    generator_url: str = ""
    updated_at: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """One line of an incident's history. ``at`` is in the service's own time."""

    incident: str
    fingerprint: str
    sequence: int
    change: Change
    at: float
    severity: Severity | None
    value: float | None = None
    threshold: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """Why an incident's owed transition was told, or was held back; written when the reason changes."""

    incident: str
    fingerprint: str
    at: float
    change: Change
    outcome: str
    reason: str
