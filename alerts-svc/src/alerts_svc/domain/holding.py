"""What holds back the telling of something, and until when."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from alerts_svc.domain.alert import Alert, Change, Incident
from alerts_svc.domain.composing import rule_of
from alerts_svc.domain.configuration import MuteWindow
from alerts_svc.domain.inhibition import Inhibitor
from alerts_svc.domain.labels import Labels
from alerts_svc.domain.machine import cooldown_end
from alerts_svc.domain.mute import ends_at, is_muted
from alerts_svc.domain.severity import rank
from alerts_svc.domain.silencing import Silencer
from alerts_svc.domain.world import World

# As the reason of a decision; the first three are followed by a colon and what it is.
SILENCE = "silence"
INHIBITION = "inhibition"
MUTE = "mute"
COOLDOWN = "cooldown"
ACKNOWLEDGED = "acknowledged"
GROUP_INTERVAL = "group_interval"


class Holder:
    """Says what holds an alert back at one time."""

    def __init__(self, world: World, *, own: float, wall: float) -> None:
        self._world = world
        self._own = own
        self._wall = wall

    def reason(self, alert: Alert, change: Change, labels: Labels) -> str | None:
        """Return what holds back the telling of a change, ``None`` if nothing does."""
        incident = alert.incident
        assert incident is not None
        suppressed = self.suppressed(alert, labels)
        if suppressed is not None:
            return suppressed
        if self._cools(alert, incident, change):
            return COOLDOWN
        if change in (Change.NO_DATA, Change.REMINDER) and acknowledged(incident, own=self._own):
            return ACKNOWLEDGED
        return None

    def suppressed(self, alert: Alert, labels: Labels) -> str | None:
        """Return which silence, other alert or mute window holds everything about the alert back."""
        silence = self._silencer.first(labels)
        if silence is not None:
            return f"{SILENCE}:{silence.id}"
        source = self._inhibitor.source(alert, labels)
        if source is not None:
            return f"{INHIBITION}:{source}"
        for window in self._muting:
            if all(matcher.matches(labels) for matcher in window.matchers):
                return f"{MUTE}:{window.name}"
        return None

    def _cools(self, alert: Alert, incident: Incident, change: Change) -> bool:
        if change is Change.FIRED:
            fired_at, told = alert.fired_at, alert.fired_severity
        elif change is Change.ESCALATED:
            # Up again to where it was: news only after a while.
            fired_at, told = incident.told_at, incident.told_severity
        else:
            return False
        return (
            fired_at is not None
            and self._own < cooldown_end(rule_of(self._world.rules, alert), fired_at)
            and rank(incident.severity) <= rank(told)
        )

    @cached_property
    def _silencer(self) -> Silencer:
        return Silencer(self._world.silences.values(), wall=self._wall)

    @cached_property
    def _inhibitor(self) -> Inhibitor:
        return Inhibitor(self._world.configuration.inhibitions, self._world.alerts.values())

    @cached_property
    def _muting(self) -> tuple[MuteWindow, ...]:
        return tuple(
            window
            for window in self._world.configuration.mute_windows
            if is_muted(window, wall=self._wall)
        )


def acknowledged(incident: Incident, *, own: float) -> bool:
    """Return whether somebody has the incident in hand."""
    return incident.acknowledged_until is not None and own < incident.acknowledged_until


def reminder_at(world: World, incident: Incident) -> float | None:
    """Return when people are to be reminded of an open incident of which nothing is owed (own time)."""
    repeat = world.configuration.repeat_seconds
    if incident.told_at is None or repeat <= 0:
        return None
    return max(incident.told_at + repeat, incident.acknowledged_until or 0.0)


def released_at(world: World, alert: Alert, *, own: float, wall: float) -> float | None:
    """Return when what holds an alert back ends by itself (own time), ``None`` if it does not, or nobody knows."""
    incident = alert.incident
    assert incident is not None
    kind, _, name = (incident.held_by or "").partition(":")
    if kind == SILENCE:
        silence = world.silences.get(name)
        return own if silence is None else own + (silence.ends_at - wall)
    if kind == MUTE:
        return _window_end(world.configuration.mute_windows, name, own=own, wall=wall)
    if kind == COOLDOWN:
        since = alert.fired_at if incident.owed is Change.FIRED else incident.told_at
        return own if since is None else cooldown_end(rule_of(world.rules, alert), since)
    if kind == ACKNOWLEDGED:
        return incident.acknowledged_until
    return None


def _window_end(
    windows: Iterable[MuteWindow], name: str, *, own: float, wall: float
) -> float | None:
    for window in windows:
        if window.name == name and is_muted(window, wall=wall):
            end = ends_at(window, wall=wall)
            return None if end is None else own + (end - wall)
    return own
