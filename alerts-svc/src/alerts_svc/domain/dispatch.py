"""What is told now, to whom, and what is held back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from alerts_svc.domain.alert import Alert, Change, Decision, Incident, State, Transition
from alerts_svc.domain.channel import Kind
from alerts_svc.domain.composing import News, began_at, heartbeat, priority, rule_of
from alerts_svc.domain.grouping import Free, is_released, open_groups
from alerts_svc.domain.holding import (
    GROUP_INTERVAL,
    Holder,
    released_at,
    reminder_at,
)
from alerts_svc.domain.machine import forgettable
from alerts_svc.domain.message import Message
from alerts_svc.domain.routing import Router, labelled
from alerts_svc.domain.severity import Severity
from alerts_svc.domain.telling import Told, tell
from alerts_svc.domain.world import Changes, World

HELD = "held"
TOLD = "told"
NOT_TOLD = "not_told"
# Why something was not told at all, if nothing held it.
OVER = "over"
# What the limits of one tick have left is told so much later.
LEFT_OVER_SECONDS = 5.0
HEARTBEAT_SECONDS = 60.0


def decide(world: World, *, own: float, wall: float, evaluated: bool = False) -> Changes:
    """Return what is to be told now of what is owed, and why the rest is not.

    ``evaluated`` says that an evaluation has just succeeded: heartbeats are given only then. Deciding again on what it
    leaves changes nothing, unless the limits of one tick have left something over.
    """
    deciding = _Deciding(world, own=own, wall=wall)
    for alert in world.alerts.values():
        deciding.consider(alert)
    told = deciding.tell()
    beats = tuple(_heartbeats(world, own=own, wall=wall)) if evaluated else ()
    return Changes(
        alerts=tuple(deciding.alerts.values()),
        forgotten=tuple(deciding.forgotten),
        transitions=tuple(deciding.transitions),
        decisions=tuple(deciding.decisions),
        messages=(*told.messages, *beats),
        groups=told.groups,
        ended_groups=told.ended_groups,
        heartbeat_at=own if beats else None,
    )


def next_decision(world: World, *, own: float, wall: float) -> float | None:
    """Return the own time at which ``decide`` would do something by itself, ``None`` if only others can cause it.

    To be asked of the world that ``decide`` has left; it may be too early, never much too late.
    """
    times: list[float | None] = []
    waits_for_group = False
    for alert in world.alerts.values():
        if alert.expires_at is not None and alert.state is State.FIRING:
            times.append(alert.expires_at)
        if alert.incident is not None:
            waits_for_group |= alert.incident.held_by == GROUP_INTERVAL
            times.append(_next_of(world, alert, alert.incident, own=own, wall=wall))
    if waits_for_group:
        interval = world.configuration.group_interval_seconds
        ends = (group.sent_at + interval for group in world.groups.values())
        times.append(min((end for end in ends if end > own), default=own + LEFT_OVER_SECONDS))
    return min((at for at in times if at is not None), default=None)


def _next_of(
    world: World, alert: Alert, incident: Incident, *, own: float, wall: float
) -> float | None:
    if incident.held_by is not None:
        return released_at(world, alert, own=own, wall=wall)
    if incident.owed is not None or incident.behind:
        return own + LEFT_OVER_SECONDS
    return reminder_at(world, incident)


class _Deciding:
    """One decision in the making."""

    def __init__(self, world: World, *, own: float, wall: float) -> None:
        self._world = world
        self._own = own
        self._wall = wall
        self._holder = Holder(world, own=own, wall=wall)
        self._router = Router(world.configuration, world.channels)
        self._free: list[Free] = []
        self.alerts: dict[str, Alert] = {}
        self.forgotten: list[str] = []
        self.transitions: list[Transition] = []
        self.decisions: list[Decision] = []

    def consider(self, alert: Alert) -> None:
        """Put an alert with those that are free to be told, or write down what becomes of it."""
        incident = alert.incident
        if incident is None:
            self._keep_or_forget(alert, changed=False)
        elif incident.resolved_at is not None:
            self._consider_resolved(alert, incident)
        elif incident.owed is Change.ACKNOWLEDGED:
            self._free_to_tell(alert, incident, Change.ACKNOWLEDGED)
        else:
            self._consider_open(*self._reminded(*self._current(alert, incident)))

    def tell(self) -> Told:
        """Put together what goes out now of what is free, and write down that it did."""
        self._free.sort(key=_order)
        speaking = open_groups(self._world, self._free, own=self._own)
        released = []
        for free in self._free:
            if is_released(free, speaking):
                released.append(free)
            else:
                self._hold(free.news.alert, free.news.incident, free.news.change, GROUP_INTERVAL)
        told = tell(
            self._world, released, self._router, self._holder, own=self._own, wall=self._wall
        )
        for free in released:
            self._settle(free, told)
        return told

    def _consider_resolved(self, alert: Alert, incident: Incident) -> None:
        if incident.channels:
            self._free_to_tell(alert, incident, Change.RESOLVED)
            return
        reason = incident.held_by or OVER
        self._decided(alert, incident, Change.RESOLVED, NOT_TOLD, reason)
        self._keep_or_forget(replace(alert, incident=None), changed=True)

    def _reminded(self, alert: Alert, incident: Incident) -> tuple[Alert, Incident]:
        if incident.owed is not None or incident.behind:
            return alert, incident
        due = reminder_at(self._world, incident)
        if due is None or self._own < due:
            return alert, incident
        incident = replace(
            incident, sequence=incident.sequence + 1, owed=Change.REMINDER, owed_at=self._own
        )
        alert = replace(alert, incident=incident)
        self.alerts[alert.fingerprint] = alert
        self.transitions.append(
            Transition(
                incident.id,
                alert.fingerprint,
                incident.sequence,
                Change.REMINDER,
                self._own,
                incident.severity,
                alert.value,
                alert.threshold,
            )
        )
        return alert, incident

    def _consider_open(self, alert: Alert, incident: Incident) -> None:
        if incident.owed is None and not incident.behind:
            return
        change = Change.FIRED if not incident.channels else incident.owed or Change.ESCALATED
        catching_up = incident.owed is None
        labels = labelled(alert)
        # A channel that is behind is told of what was free to be told; its cooldown has begun with that.
        reason = (
            self._holder.suppressed(alert, labels)
            if catching_up
            else self._holder.reason(alert, change, labels)
        )
        if reason is not None:
            self._hold(alert, incident, change, reason)
        else:
            self._free_to_tell(alert, incident, change, catching_up=catching_up)

    def _free_to_tell(
        self, alert: Alert, incident: Incident, change: Change, *, catching_up: bool = False
    ) -> None:
        destinations = self._router.destinations(labelled(alert))
        self._free.append(Free(News(alert, incident, change), destinations, catching_up))

    def _hold(self, alert: Alert, incident: Incident, change: Change, reason: str) -> None:
        if incident.held_by != reason:
            self._decided(alert, incident, change, HELD, reason)
            self._put(alert, replace(incident, held_by=reason))

    def _current(self, alert: Alert, incident: Incident) -> tuple[Alert, Incident]:
        """Return it without what is owed of it but no longer so."""
        if incident.owed is None or not _is_past(alert, incident):
            return alert, incident
        self._decided(alert, incident, incident.owed, NOT_TOLD, incident.held_by or OVER)
        incident = replace(incident, owed=None, owed_at=None, held_by=None)
        self._put(alert, incident)
        return replace(alert, incident=incident), incident

    def _settle(self, free: Free, told: Told) -> None:
        alert, incident, change = free.news.alert, free.news.incident, free.news.change
        channels = frozenset(told.channels.get(incident.id, ()))
        behind = frozenset(told.behind.get(incident.id, ()))
        if channels:
            self._decided(alert, incident, change, TOLD, ", ".join(sorted(channels)))
        if change is Change.RESOLVED:
            self._keep_or_forget(replace(alert, incident=None), changed=True)
            return
        if change is Change.ACKNOWLEDGED:
            behind = incident.behind - channels
        is_news = not free.catching_up and change is not Change.ACKNOWLEDGED
        severity = _greater(incident.told_severity, incident.severity)
        left = replace(
            incident,
            channels=incident.channels | channels,
            behind=behind,
            owed=None,
            owed_at=None,
            held_by=None,
            told_at=self._own if is_news else incident.told_at,
            told_severity=severity if is_news else incident.told_severity,
            began_at=began_at(incident, self._wall - self._own),
        )
        self._put(self._remembered(alert, incident, change) if is_news else alert, left)

    def _remembered(self, alert: Alert, incident: Incident, change: Change) -> Alert:
        if change is Change.FIRED:
            return replace(alert, fired_at=self._own, fired_severity=incident.severity)
        if change is Change.ESCALATED:
            severity = _greater(alert.fired_severity, incident.severity)
            return replace(alert, fired_severity=severity)
        return alert

    def _keep_or_forget(self, alert: Alert, *, changed: bool) -> None:
        if forgettable(alert, rule_of(self._world.rules, alert), own=self._own):
            self.forgotten.append(alert.fingerprint)
        elif changed:
            self.alerts[alert.fingerprint] = alert

    def _put(self, alert: Alert, incident: Incident) -> None:
        if incident != self._world.alerts[alert.fingerprint].incident:
            self.alerts[alert.fingerprint] = replace(alert, incident=incident)

    def _decided(
        self, alert: Alert, incident: Incident, change: Change, outcome: str, reason: str
    ) -> None:
        self.decisions.append(
            Decision(incident.id, alert.fingerprint, self._own, change, outcome, reason)
        )


def _is_past(alert: Alert, incident: Incident) -> bool:
    """Return whether what is owed of an open incident is no longer so."""
    if not incident.channels:
        return False
    if incident.owed is Change.ESCALATED:
        return incident.severity is not Severity.CRITICAL
    return incident.owed is Change.NO_DATA and alert.state is State.FIRING


def _order(free: Free) -> tuple[int, bool, tuple[int, int, float, str]]:
    """Return what sorts news, so that those that only catch up come after what is as severe and new."""
    return -free.news.incident.severity.rank, free.catching_up, priority(free.news)


def _greater(one: Severity | None, other: Severity) -> Severity:
    return other if one is None or other.rank > one.rank else one


def _heartbeats(world: World, *, own: float, wall: float) -> Iterator[Message]:
    """Yield a heartbeat for each channel whose interval has begun anew since the last one."""
    for name, channel in sorted(world.channels.items()):
        if channel.kind is not Kind.HEARTBEAT or not channel.enabled or channel.disabled_reason:
            continue
        interval = float(channel.settings.get("interval_seconds") or HEARTBEAT_SECONDS)
        slot = int(own // interval)
        if world.heartbeat_at is None or slot > int(world.heartbeat_at // interval):
            yield heartbeat(name, slot=slot, wall=wall)
