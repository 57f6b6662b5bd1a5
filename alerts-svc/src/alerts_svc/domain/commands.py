"""What people and senders ask for through the inbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from alerts_svc.domain import outside
from alerts_svc.domain.alert import Alert, Change, State, Transition
from alerts_svc.domain.channel import Kind
from alerts_svc.domain.machine import Step, open_incident, resolve
from alerts_svc.domain.world import (
    Acknowledge,
    Changes,
    Close,
    Command,
    Posted,
    World,
    applied,
)


def apply(
    world: World,
    commands: Sequence[Command],
    *,
    own: float,
    wall: float,
    was_away: bool = False,
) -> tuple[World, Changes]:
    """Return the world after the commands, and what they changed; also lets alerts from elsewhere expire.

    To be called at each tick, with or without commands, before anything else. A command about an incident that is
    not open (any more) changes nothing, and is consumed all the same. ``was_away`` says that for a while nobody may have
    been there to hear senders: what they vouched for until then does not expire for that.
    """
    applying = _Applying(world, own=own, wall=wall)
    for command in commands:
        applying.take(command)
    applying.expire(was_away=was_away)
    changes = Changes(
        alerts=tuple(applying.changed.values()),
        transitions=tuple(applying.transitions),
        consumed=tuple(command.id for command in commands),
    )
    return applied(world, changes), changes


class _Applying:
    """Commands being applied, each on what the earlier ones have left."""

    def __init__(self, world: World, *, own: float, wall: float) -> None:
        self._world = world
        self._own = own
        self._wall = wall
        self.changed: dict[str, Alert] = {}
        self.transitions: list[Transition] = []
        self._incidents = {
            alert.incident.id: alert.fingerprint
            for alert in world.alerts.values()
            if alert.incident is not None
        }

    def take(self, command: Command) -> None:
        content = command.content
        if isinstance(content, Acknowledge):
            self._acknowledge(content)
        elif isinstance(content, Close):
            self._close(content)
        else:
            for posted in content:
                self._receive(posted)

    def expire(self, *, was_away: bool) -> None:
        for known in self._world.alerts.values():
            if known.rule is None:
                before = self.changed.get(known.fingerprint, known)
                alert = outside.vouched_anew(before, own=self._own) if was_away else before
                self._keep(before, outside.expire(alert, own=self._own))

    def _receive(self, posted: Posted) -> None:
        known = self._alert(outside.identity_of(outside.labels_of(posted)))
        after, transitions = outside.receive(known, posted, own=self._own, wall=self._wall)
        if known is None and after.state is State.INACTIVE and after.incident is None:
            # The end of something that was never heard of.
            return
        self._keep(known, (after, transitions))
        if after.incident is not None:
            self._incidents[after.incident.id] = after.fingerprint

    def _acknowledge(self, command: Acknowledge) -> None:
        alert = self._named(command.incident)
        incident = None if alert is None else open_incident(alert)
        if alert is None or incident is None:
            return
        until = None if command.until is None else self._own + (command.until - self._wall)
        moved = replace(
            incident,
            sequence=incident.sequence + 1,
            acknowledged_until=until,
            acknowledged_by=None if until is None else command.by,
        )
        if until is not None and incident.owed is None and self._has_pager(incident.channels):
            moved = replace(moved, owed=Change.ACKNOWLEDGED, owed_at=self._own)
        transition = Transition(
            incident=incident.id,
            fingerprint=alert.fingerprint,
            sequence=moved.sequence,
            change=Change.ACKNOWLEDGED,
            at=self._own,
            severity=incident.severity,
            value=alert.value,
            threshold=alert.threshold,
            reason=f"by:{command.by}" if until is not None else f"taken_back_by:{command.by}",
        )
        self._keep(alert, (replace(alert, incident=moved), (transition,)))

    def _close(self, command: Close) -> None:
        alert = self._named(command.incident)
        if alert is not None and open_incident(alert) is not None:
            self._keep(alert, resolve(alert, own=self._own, reason=f"closed_by:{command.by}"))

    def _has_pager(self, channels: frozenset[str]) -> bool:
        found = (self._world.channels.get(name) for name in channels)
        return any(channel is not None and channel.kind is Kind.PAGERDUTY for channel in found)

    def _named(self, name: str) -> Alert | None:
        """Return an alert by its incident, or by its fingerprint."""
        return self._alert(self._incidents.get(name, name))

    def _alert(self, identity: str) -> Alert | None:
        return self.changed.get(identity) or self._world.alerts.get(identity)

    def _keep(self, before: Alert | None, step: Step) -> None:
        after, transitions = step
        if after is not before:
            self.changed[after.fingerprint] = after
            self.transitions.extend(transitions)
