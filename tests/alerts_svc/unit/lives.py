"""Lives of one alert, for tests: a rule, outcomes, and what they make of it."""

from __future__ import annotations

from dataclasses import replace

from alerts_svc.domain import machine
from alerts_svc.domain.alert import Alert, Change, Incident
from alerts_svc.domain.reading import Failed, Finding, Missing, Outcome
from alerts_svc.domain.rule import Comparison, Query, Rule, Threshold
from alerts_svc.domain.severity import Severity

T0 = 1_790_000_000.0
WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL
CLEAR = Finding(None, 0.5, 1.0, 30.0)
BREACH = Finding(WARNING, 1.5, 1.0, 30.0)
WORSE = Finding(CRITICAL, 2.5, 2.0, 30.0)
SILENCE = Missing("no_data")
FEW = Missing("insufficient_data", 3.0)
AWAY = Failed("metrics-svc does not answer")
IDLE = Alert("0123456789abcdef", {"alertname": "Slow", "operation": "ask"}, "Slow")


def slow(**given: float) -> Rule:
    """Return a rule with these durations."""
    condition = Threshold(
        Query("performance.duration_ms", "p95", 900), Comparison.ABOVE, 1.0, 2.0, hysteresis=0.2
    )
    rule = Rule("Slow", "performance", condition, min_samples=20)
    return replace(rule, **given)  # type: ignore[arg-type]  # All that are given are durations.


def lived(
    rule: Rule, *steps: tuple[float, Outcome], alert: Alert = IDLE
) -> tuple[Alert, list[tuple[float, Change]]]:
    """Return the alert after outcomes at seconds after ``T0``, and the transitions with their seconds."""
    changes: list[tuple[float, Change]] = []
    for at, outcome in steps:
        alert, transitions = machine.advance(alert, outcome, rule, own=T0 + at)
        changes.extend((transition.at - T0, transition.change) for transition in transitions)
    return alert, changes


def told(alert: Alert) -> Alert:
    """Return the alert after everything owed was told."""
    incident = alert.incident
    assert incident is not None
    done = replace(incident, owed=None, owed_at=None, told_severity=incident.severity, told_at=T0)
    return replace(alert, incident=None if incident.resolved_at is not None else done)


def incident_of(alert: Alert) -> Incident:
    assert alert.incident is not None
    return alert.incident
