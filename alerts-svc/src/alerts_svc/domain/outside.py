"""Alerts that others post, merged as Alertmanager merges them; only that silence is not taken for an end.

A sender repeats what still fires. What it no longer vouches for is of unknown state until it says how it ended.
"""

from __future__ import annotations

from dataclasses import replace

from alerts_svc.domain import machine
from alerts_svc.domain.alert import Alert, Change, Incident, State
from alerts_svc.domain.labels import SEVERITY, Labels, fingerprint, safe
from alerts_svc.domain.machine import Step
from alerts_svc.domain.severity import Severity
from alerts_svc.domain.world import Posted

RESOLVE_TIMEOUT_SECONDS = 300.0
# Prometheus says that an alert has ended a few milliseconds after it did, by a clock that may be as much ahead of ours:
# to take that for an end to come would keep the alert until it is said again, a minute later.
CLOCKS_DIFFER_SECONDS = 1.0
_CRITICAL = frozenset({"critical", "page", "error"})


def labels_of(posted: Posted) -> dict[str, str]:
    """Return the labels that identify what was posted."""
    return safe(posted.labels)


def identity_of(labels: Labels) -> str:
    """Return the fingerprint under which an alert from elsewhere is kept.

    No alert of our own rules has it, even if its labels are equal: neither can take the other's place.
    """
    return fingerprint({**labels, "": "outside"})


def severity_of(alert: Alert) -> Severity:
    """Return how bad an alert from elsewhere is by its label, which may say anything."""
    said = alert.labels.get(SEVERITY, "").lower()
    return Severity.CRITICAL if said in _CRITICAL else Severity.WARNING


def receive(alert: Alert | None, posted: Posted, *, own: float, wall: float) -> Step:
    """Return the alert (``None``: none was known) after it was posted, and the transitions that this made.

    The earliest start is kept, the newest annotations win. An end before the present start is of an earlier episode and
    changes nothing.
    """
    if alert is None:
        labels = labels_of(posted)
        alert = Alert(fingerprint=identity_of(labels), labels=labels, updated_at=own)
    skew = own - wall
    if posted.ends_at is not None and posted.ends_at <= posted.received_at + CLOCKS_DIFFER_SECONDS:
        return _ended(alert, posted.ends_at + skew, own=own)
    if posted.ends_at is None:
        expires_at = posted.received_at + RESOLVE_TIMEOUT_SECONDS + skew
    else:
        expires_at = posted.ends_at + skew
    return _vouched(alert, posted, min(posted.starts_at + skew, own), expires_at, own=own)


def vouched_anew(alert: Alert, *, own: float) -> Alert:
    """Return an alert whose sender could not reach us for a while: it has as long as at first to say so again."""
    until = own + RESOLVE_TIMEOUT_SECONDS
    if alert.expires_at is None or alert.state is State.NO_DATA or alert.expires_at >= until:
        return alert
    return replace(alert, expires_at=until)


def expire(alert: Alert, *, own: float) -> Step:
    """Return the alert at a tick: of unknown state if nobody vouches for it any more.

    One that waited for the last incident's resolve to be told fires when it has been.
    """
    if alert.state is State.PENDING and machine.is_told(alert):
        return _fired(alert, own=own)
    if alert.expires_at is None or own < alert.expires_at or alert.state is State.NO_DATA:
        return alert, ()
    incident = machine.open_incident(alert)
    if incident is None:
        return machine.resolve(alert, own=own, reason="expired")
    unknown = replace(alert, state=State.NO_DATA, no_data_at=own, updated_at=own)
    silent = replace(incident, no_data_at=own)
    return machine.step(unknown, silent, Change.NO_DATA, own=own, reason="expired")


def _ended(alert: Alert, ended_at: float, *, own: float) -> Step:
    if alert.active_at is None or ended_at < alert.active_at:
        return alert, ()
    return machine.resolve(alert, own=own, reason="")


def _vouched(alert: Alert, posted: Posted, start: float, expires_at: float, *, own: float) -> Step:
    incident = machine.open_incident(alert)
    after = replace(
        alert,
        annotations=safe(posted.annotations),
        generator_url=posted.generator_url,
        state=State.PENDING if incident is None else State.FIRING,
        severity=severity_of(alert),
        active_at=start if alert.active_at is None else min(start, alert.active_at),
        no_data_at=None,
        expires_at=expires_at if alert.expires_at is None else max(expires_at, alert.expires_at),
        updated_at=own,
    )
    if incident is not None:
        return _vouched_again(after, incident, own=own)
    if not machine.is_told(alert):
        return after, ()
    return _fired(after, own=own, event_at=posted.received_at)


def _vouched_again(alert: Alert, incident: Incident, *, own: float) -> Step:
    if incident.no_data_at is None:
        return alert, ()
    known = replace(incident, no_data_at=None)
    return machine.step(alert, known, Change.RESUMED, own=own)


def _fired(alert: Alert, *, own: float, event_at: float | None = None) -> Step:
    firing = replace(alert, state=State.FIRING, updated_at=own)
    return machine.fire(firing, severity_of(alert), own=own, event_at=event_at)
