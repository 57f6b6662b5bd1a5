"""How an alert goes from one state to the next, and what of it is to be told.

What is owed stays owed until ``dispatch`` has told it; nothing here knows of channels, silences or cooldowns.
"""

from __future__ import annotations

import uuid
from dataclasses import replace

from alerts_svc.domain.alert import Alert, Change, Incident, State, Transition
from alerts_svc.domain.reading import Failed, Finding, Missing, Outcome
from alerts_svc.domain.rule import Rule
from alerts_svc.domain.severity import Severity, rank

Step = tuple[Alert, tuple[Transition, ...]]

# Of an alert from elsewhere, and of one whose rule is gone.
COOLDOWN_SECONDS = 900.0

_INCIDENTS = uuid.UUID("6f1d5a0e-5f0f-5a57-9d0a-5b8f6f4f9c11")
# What has been owed gives way to what is graver; an incident that nobody has been told of is told whole.
_PRECEDENCE = {Change.REMINDER: 1, Change.NO_DATA: 2, Change.ESCALATED: 3, Change.FIRED: 4}
_NO_DATA = "no_data"


def advance(
    alert: Alert, outcome: Outcome, rule: Rule, *, own: float, event_at: float | None = None
) -> Step:
    """Return the alert after one evaluation, and the transitions that it made.

    ``own`` is the service's own time, ``event_at`` the newest event that the outcome rests on (Unix seconds). Where
    nothing changes the alert itself is returned. A new breach while the last incident's resolve is still to be told
    stays pending until that has been.
    """
    if isinstance(outcome, Finding):
        if outcome.level is not None:
            return _breached(alert, outcome, outcome.level, rule, own=own, event_at=event_at)
        if alert.state is State.INACTIVE:
            return alert, ()
        return _clear(alert, outcome, rule, own=own)
    if isinstance(outcome, Missing):
        return _missing(alert, outcome, rule, own=own)
    return _failed(alert, outcome, own=own)


def resolve(alert: Alert, *, own: float, reason: str) -> Step:
    """Return the alert resolved without a finding: its rule is gone, its sender or somebody says that it is over."""
    idle = _idle(alert, own)
    incident = open_incident(alert)
    if incident is None:
        return (alert, ()) if alert.state is State.INACTIVE else (idle, ())
    return step(idle, incident, Change.RESOLVED, own=own, reason=reason)


def open_incident(alert: Alert) -> Incident | None:
    """Return the incident that is not resolved yet."""
    incident = alert.incident
    return incident if incident is not None and incident.resolved_at is None else None


def is_told(alert: Alert) -> bool:
    """Return whether the last incident, if there is one, is out of the way of a new one."""
    incident = alert.incident
    return incident is None or (incident.owed is None and not incident.behind)


def level_of(alert: Alert) -> Severity | None:
    """Return the level that the alert fires with; a pending one, or one for lack of data alone, has reached none."""
    incident = open_incident(alert)
    return None if incident is None or alert.threshold is None else incident.severity


def forgettable(alert: Alert, rule: Rule | None, *, own: float) -> bool:
    """Return whether nothing of the alert need be kept: it is inactive, told, and its cooldown is over."""
    if alert.state is not State.INACTIVE or alert.incident is not None:
        return False
    return alert.fired_at is None or own >= cooldown_end(rule, alert.fired_at)


def cooldown_end(rule: Rule | None, since: float) -> float:
    """Return until when an alert that was told of at ``since`` is not told of anew (own time)."""
    return since + (COOLDOWN_SECONDS if rule is None else rule.cooldown_seconds)


def only_measured(before: Alert, after: Alert) -> bool:
    """Return whether the two differ in nothing but what was measured, which need not be stored at once."""
    same = replace(
        after,
        value=before.value,
        threshold=before.threshold,
        samples=before.samples,
        updated_at=before.updated_at,
    )
    return same == before


def incident_id(fingerprint: str, own: float) -> str:
    """Return the id of the incident that an alert opens at a time; the same again for the same."""
    return uuid.uuid5(_INCIDENTS, f"{fingerprint}/{round(own * 1_000_000)}").hex


def fire(
    alert: Alert, severity: Severity, *, own: float, event_at: float | None, reason: str = ""
) -> Step:
    """Return the alert with an incident opened."""
    incident = Incident(
        id=incident_id(alert.fingerprint, own),
        started_at=own,
        sequence=0,
        severity=severity,
        event_at=event_at,
        seen_at=own,
        no_data_at=own if alert.state is State.NO_DATA else None,
    )
    return step(alert, incident, Change.FIRED, own=own, reason=reason)


def step(alert: Alert, incident: Incident, *changes: Change, own: float, reason: str = "") -> Step:
    """Return the alert with further transitions of its incident, owed if people are to be told of them."""
    told: list[Transition] = []
    for change in changes:
        incident = _moved(incident, change, own=own)
        told.append(
            Transition(
                incident=incident.id,
                fingerprint=alert.fingerprint,
                sequence=incident.sequence,
                change=change,
                at=own,
                severity=incident.severity,
                value=alert.value,
                threshold=alert.threshold,
                reason=reason,
            )
        )
    return replace(alert, incident=incident), tuple(told)


def _moved(incident: Incident, change: Change, *, own: float) -> Incident:
    owed = _owed(incident, change)
    same = owed is incident.owed
    return replace(
        incident,
        sequence=incident.sequence + 1,
        owed=owed,
        owed_at=incident.owed_at if same else own if owed else None,
        # What is over before it was told was not told for the same reason as before.
        held_by=incident.held_by if same or change is Change.RESOLVED else None,
        resolved_at=own if change is Change.RESOLVED else None,
    )


def _owed(incident: Incident, change: Change) -> Change | None:
    """Return what is to be told after a change."""
    owed = incident.owed
    if change is Change.RESOLVED:
        return Change.RESOLVED
    if change is Change.RESUMED:
        return None if owed is Change.NO_DATA else owed
    if change is Change.DEESCALATED:
        told = rank(incident.told_severity) >= incident.severity.rank
        return None if owed is Change.ESCALATED and told else owed
    weight = _PRECEDENCE.get(change, 0)
    return change if weight > (0 if owed is None else _PRECEDENCE.get(owed, 0)) else owed


def _breached(
    alert: Alert,
    finding: Finding,
    level: Severity,
    rule: Rule,
    *,
    own: float,
    event_at: float | None,
) -> Step:
    incident = open_incident(alert)
    since = own if alert.active_at is None else alert.active_at
    due = own - since >= rule.for_seconds and is_told(alert)
    if incident is None and not due:
        return _measured(alert, finding, State.PENDING, since, own), ()
    after = _measured(alert, finding, State.FIRING, since, own)
    if incident is None:
        return fire(after, level, own=own, event_at=event_at)
    return _levelled(after, incident, level, own=own, event_at=event_at)


def _measured(alert: Alert, finding: Finding, state: State, since: float, own: float) -> Alert:
    """Return the alert with what was found; itself if that is what it had."""
    before = (alert.state, alert.severity, alert.value, alert.threshold, alert.samples)
    now = (state, finding.level, finding.value, finding.threshold, finding.samples)
    if before == now and alert.clear_at is None:
        return alert
    return replace(
        alert,
        state=state,
        severity=finding.level,
        value=finding.value,
        threshold=finding.threshold,
        samples=finding.samples,
        active_at=since,
        clear_at=None,
        no_data_at=None,
        error=None,
        updated_at=own,
    )


def _levelled(
    alert: Alert, incident: Incident, level: Severity, *, own: float, event_at: float | None
) -> Step:
    """Bring an open incident to the level that was found."""
    if level is incident.severity and incident.no_data_at is None:
        return alert, ()
    changes = [] if incident.no_data_at is None else [Change.RESUMED]
    moved = replace(incident, severity=level, no_data_at=None)
    if level.rank > incident.severity.rank:
        changes.append(Change.ESCALATED)
        moved = replace(moved, event_at=event_at, seen_at=own)
    elif level.rank < incident.severity.rank:
        changes.append(Change.DEESCALATED)
    return step(alert, moved, *changes, own=own)


def _clear(alert: Alert, finding: Finding, rule: Rule, *, own: float) -> Step:
    incident = open_incident(alert)
    if incident is None:
        return _idle(alert, own), ()
    since = own if alert.clear_at is None else alert.clear_at
    found = replace(
        alert,
        state=State.FIRING,
        value=finding.value,
        threshold=finding.threshold,
        samples=finding.samples,
        clear_at=since,
        no_data_at=None,
        error=None,
        updated_at=own,
    )
    if own - since >= rule.keep_firing_seconds:
        return resolve(found, own=own, reason="")
    if incident.no_data_at is None:
        return found, ()
    return step(found, replace(incident, no_data_at=None), Change.RESUMED, own=own)


def _missing(alert: Alert, outcome: Missing, rule: Rule, *, own: float) -> Step:
    incident = open_incident(alert)
    # Too few samples show that the sender is alive, so that is not what ``no_data_severity`` is for.
    lack = rule.no_data_severity if outcome.reason == _NO_DATA else None
    if incident is None and alert.active_at is None and lack is None:
        return (alert, ()) if alert.state is State.INACTIVE else (_idle(alert, own), ())
    since = own if alert.no_data_at is None else alert.no_data_at
    after = _unknown(alert, outcome, since, own)
    if own - since < rule.no_data_seconds:
        return after, ()
    if incident is not None:
        return _silent(after, incident, lack, own=own, reason=outcome.reason)
    if lack is None:
        return _idle(alert, own), ()
    if not is_told(alert):
        return after, ()
    unmeasured = replace(after, severity=lack, value=None, threshold=None, active_at=since)
    return fire(unmeasured, lack, own=own, event_at=None, reason=_NO_DATA)


def _unknown(alert: Alert, outcome: Missing, since: float, own: float) -> Alert:
    if alert.state is State.NO_DATA and alert.samples == outcome.samples:
        return alert
    return replace(
        alert,
        state=State.NO_DATA,
        samples=outcome.samples,
        no_data_at=since,
        error=None,
        updated_at=own,
    )


def _silent(
    alert: Alert, incident: Incident, lack: Severity | None, *, own: float, reason: str
) -> Step:
    """Tell once that nothing is known of an alert that fires, and raise it if lack of data is worse."""
    if incident.no_data_at is not None:
        return alert, ()
    silent = replace(incident, no_data_at=own)
    if lack is None or lack.rank <= incident.severity.rank:
        return step(alert, silent, Change.NO_DATA, own=own, reason=reason)
    worse = replace(silent, severity=lack, event_at=None, seen_at=own)
    raised = replace(alert, severity=lack)
    return step(raised, worse, Change.NO_DATA, Change.ESCALATED, own=own, reason=reason)


def _failed(alert: Alert, outcome: Failed, *, own: float) -> Step:
    known = alert.state is State.ERROR and alert.error == outcome.reason
    if known or alert.state is State.INACTIVE:
        return alert, ()
    return replace(alert, state=State.ERROR, error=outcome.reason, updated_at=own), ()


def _idle(alert: Alert, own: float) -> Alert:
    return replace(
        alert,
        state=State.INACTIVE,
        severity=None,
        active_at=None,
        clear_at=None,
        no_data_at=None,
        expires_at=None,
        error=None,
        updated_at=own,
    )
