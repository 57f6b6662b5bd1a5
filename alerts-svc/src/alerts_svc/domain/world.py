"""All that a decision depends on, and all that it changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from alerts_svc.domain.alert import Alert, Decision, Transition
from alerts_svc.domain.channel import Channel
from alerts_svc.domain.configuration import Configuration
from alerts_svc.domain.message import ChangeEvent, Message
from alerts_svc.domain.rule import Rule
from alerts_svc.domain.silence import Silence

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Group:
    """What is remembered of a group while it has alerts. ``thread`` names the episode."""

    key: str
    thread: str
    sent_at: float


@dataclass(frozen=True, slots=True)
class Posted:
    """An alert from elsewhere, as it was posted; times are wall clock.

    ``ends_at`` is what the sender said, ``None`` if nothing: then it vouches for ``resolve_timeout_seconds``.
    """

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: float
    ends_at: float | None
    generator_url: str
    received_at: float


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Somebody has an incident in hand until ``until`` (wall clock; ``None`` takes the acknowledgement back)."""

    incident: str
    by: str
    until: float | None


@dataclass(frozen=True, slots=True)
class Close:
    """Somebody declares an incident over, such as one that has had no data for good."""

    incident: str
    by: str


@dataclass(frozen=True, slots=True)
class Command:
    """Something that came in through the API and waits for the one that acts."""

    id: int
    at: float
    content: tuple[Posted, ...] | Acknowledge | Close


@dataclass(frozen=True, slots=True)
class World:
    """The store as of ``revision``, which grows with every change that people make.

    ``alerts`` are by fingerprint: those that are not inactive, and those whose cooldown is still on.
    ``changes`` are of the last hours, the newest first. ``heartbeat_at`` is when a heartbeat was given last (own time).
    """

    revision: int
    rules: Mapping[str, Rule] = field(default_factory=dict)
    alerts: Mapping[str, Alert] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    silences: Mapping[str, Silence] = field(default_factory=dict)
    channels: Mapping[str, Channel] = field(default_factory=dict)
    configuration: Configuration = field(default_factory=Configuration)
    changes: Sequence[ChangeEvent] = ()
    heartbeat_at: float | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The values of one evaluation for the timeline: parallel sequences, by fingerprint."""

    at: float
    fingerprints: Sequence[str]
    values: Sequence[float | None]
    samples: Sequence[float]


@dataclass(frozen=True, slots=True)
class Changes:
    """What one decision changes; it is committed whole, or not at all.

    ``alerts`` replace those of the same fingerprint; one that is inactive and out of its cooldown is in ``forgotten``,
    and is gone even if it is among the former. So with ``ended_groups``.
    ``consumed`` are the commands that it is the answer to.
    """

    alerts: Sequence[Alert] = ()
    forgotten: Sequence[str] = ()
    transitions: Sequence[Transition] = ()
    decisions: Sequence[Decision] = ()
    messages: Sequence[Message] = ()
    groups: Sequence[Group] = ()
    ended_groups: Sequence[str] = ()
    evaluation: Evaluation | None = None
    consumed: Sequence[int] = ()
    heartbeat_at: float | None = None


def applied(world: World, changes: Changes) -> World:
    """Return the world as the changes leave it, still at its revision."""
    return replace(
        world,
        alerts=_changed(
            world.alerts, {a.fingerprint: a for a in changes.alerts}, changes.forgotten
        ),
        groups=_changed(world.groups, {g.key: g for g in changes.groups}, changes.ended_groups),
        heartbeat_at=world.heartbeat_at if changes.heartbeat_at is None else changes.heartbeat_at,
    )


def joined(first: Changes, then: Changes) -> Changes:
    """Return two steps as one: what the second says of an alert or a group replaces what the first says.

    What the first changes and the second forgets is in both: the history of what came and went at once needs its labels.
    """
    alerts, forgotten = _later(
        {a.fingerprint: a for a in first.alerts},
        first.forgotten,
        {a.fingerprint: a for a in then.alerts},
        then.forgotten,
    )
    groups, ended = _later(
        {g.key: g for g in first.groups},
        first.ended_groups,
        {g.key: g for g in then.groups},
        then.ended_groups,
    )
    return Changes(
        alerts=alerts,
        forgotten=forgotten,
        transitions=(*first.transitions, *then.transitions),
        decisions=(*first.decisions, *then.decisions),
        messages=(*first.messages, *then.messages),
        groups=groups,
        ended_groups=ended,
        evaluation=then.evaluation or first.evaluation,
        consumed=(*first.consumed, *then.consumed),
        heartbeat_at=first.heartbeat_at if then.heartbeat_at is None else then.heartbeat_at,
    )


def _changed(
    known: Mapping[str, _T], changed: Mapping[str, _T], gone: Sequence[str]
) -> Mapping[str, _T]:
    if not changed and not gone:
        return known
    left = {**known, **changed}
    for key in gone:
        left.pop(key, None)
    return left


def _later(
    before: Mapping[str, _T],
    gone_before: Sequence[str],
    after: Mapping[str, _T],
    gone: Sequence[str],
) -> tuple[tuple[_T, ...], tuple[str, ...]]:
    left = {**before, **after}
    both = dict.fromkeys((*(key for key in gone_before if key not in after), *gone))
    return tuple(left.values()), tuple(both)
