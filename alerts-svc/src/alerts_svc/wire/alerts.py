"""Alerts as they travel, and what people do with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from alerts_svc.domain.alert import Alert, Incident
from alerts_svc.domain.annotating import annotated
from alerts_svc.domain.routing import labelled
from alerts_svc.domain.rule import Rule
from alerts_svc.domain.standing import Standing
from alerts_svc.domain.world import Acknowledge, Close
from alerts_svc.wire.decoding import Short, Text, decode
from alerts_svc.wire.times import Clocks, instant

Answer = dict[str, Any]

MAX_ACKNOWLEDGE_MINUTES = 10_080


class AcknowledgeBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Who has it in hand, and for how long."""

    by: Short
    minutes: Annotated[float, Meta(gt=0, le=MAX_ACKNOWLEDGE_MINUTES)] = 60.0
    comment: Text = ""


class ByBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Who says so, and why."""

    by: Short
    comment: Text = ""


_acknowledge = msgspec.json.Decoder(AcknowledgeBody)
_by = msgspec.json.Decoder(ByBody)


def parse_acknowledge(body: bytes, incident: str, *, wall: float) -> Acknowledge:
    """Decode an acknowledgement of an incident."""
    given = decode(_acknowledge, body)
    return Acknowledge(incident, _signed(given.by, given.comment), wall + given.minutes * 60)


def release(incident: str, by: str) -> Acknowledge:
    """Return that somebody takes an acknowledgement back."""
    return Acknowledge(incident, by, None)


def tell_acknowledgement(command: Acknowledge) -> Answer:
    """Return what was asked for; it is in force with the next decision, at the latest within seconds."""
    return {"incident": command.incident, "by": command.by, "until": instant(command.until)}


def parse_close(body: bytes, incident: str) -> Close:
    """Decode who declares an incident over."""
    given = decode(_by, body)
    return Close(incident, _signed(given.by, given.comment))


def _signed(by: str, comment: str) -> str:
    # The history keeps one text of who it was.
    return f"{by}: {comment}" if comment else by


def tell_alert(alert: Alert, clocks: Clocks, *, rule: Rule | None = None) -> Answer:
    """Return an alert as it is told; ``id`` is of its incident, or its fingerprint while it has none."""
    incident = alert.incident
    return {
        "id": alert.fingerprint if incident is None else incident.id,
        "fingerprint": alert.fingerprint,
        "rule": alert.rule,
        "group": None if rule is None else rule.group,
        "state": alert.state,
        "severity": alert.severity if incident is None else incident.severity,
        "labels": dict(alert.labels),
        "annotations": annotated(rule, alert.annotations, labelled(alert), alert.value),
        "value": alert.value,
        "threshold": alert.threshold,
        "samples": alert.samples,
        "unit": "" if rule is None else rule.unit,
        "active_since": clocks.told(alert.active_at),
        "clear_since": clocks.told(alert.clear_at),
        "no_data_since": clocks.told(alert.no_data_at),
        "cooldown_until": _cooldown(alert, rule, clocks),
        "vouched_until": clocks.told(alert.expires_at),
        "updated_at": clocks.told(alert.updated_at),
        "error": alert.error,
        "generator_url": alert.generator_url,
        "incident": None if incident is None else tell_incident(incident, clocks),
    }


def _cooldown(alert: Alert, rule: Rule | None, clocks: Clocks) -> str | None:
    if alert.fired_at is None or rule is None:
        return None
    until = alert.fired_at + rule.cooldown_seconds
    return clocks.told(until) if until > clocks.own else None


def tell_incident(incident: Incident, clocks: Clocks) -> Answer:
    """Return an open incident as it is told."""
    until = incident.acknowledged_until
    return {
        "id": incident.id,
        "started_at": clocks.told(incident.started_at),
        "resolved_at": clocks.told(incident.resolved_at),
        "sequence": incident.sequence,
        "severity": incident.severity,
        "told_severity": incident.told_severity,
        "told_at": clocks.told(incident.told_at),
        "channels": sorted(incident.channels),
        "owed": incident.owed,
        "held_by": incident.held_by,
        "acknowledged": None
        if until is None or until <= clocks.own
        else {"by": incident.acknowledged_by, "until": clocks.told(until)},
    }


def tell_standing(standing: Standing, clocks: Clocks, rules: Mapping[str, Rule]) -> Answer:
    """Return an open alert with where it goes and what holds it back."""
    return tell_alert(standing.alert, clocks, rule=rules.get(standing.alert.rule or "")) | {
        "receivers": list(standing.receivers),
        "silenced_by": list(standing.silenced_by),
        "inhibited_by": list(standing.inhibited_by),
        "muted_by": list(standing.muted_by),
    }


def tell_groups(
    standings: Iterable[Standing], clocks: Clocks, rules: Mapping[str, Rule]
) -> list[Answer]:
    """Return open alerts by the group that they are told in."""
    found: dict[str, Answer] = {}
    for standing in standings:
        told = tell_standing(standing, clocks, rules)
        for destination in standing.destinations:
            group = found.setdefault(
                destination.key,
                {
                    "key": destination.key,
                    "labels": dict(destination.labels),
                    "channels": list(destination.channels),
                    "alerts": [],
                },
            )
            group["alerts"].append(told)
    return [found[key] for key in sorted(found)]
