"""``/api/alerts``: what is active, what was, why it was told or not, and what people do about it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response

from alerts_svc.domain import builtin
from alerts_svc.domain.alert import Alert, Incident
from alerts_svc.domain.alert import State as AlertState
from alerts_svc.domain.explanation import Entry, Evidence, Measured, explained, verdict
from alerts_svc.domain.labels import Labels
from alerts_svc.domain.machine import open_incident
from alerts_svc.domain.rule import Rule
from alerts_svc.domain.severity import Severity
from alerts_svc.domain.standing import standings
from alerts_svc.domain.world import World
from alerts_svc.routes.resources import body_of, clocks, load
from alerts_svc.state import State
from alerts_svc.store.alerts import Found, Past
from alerts_svc.wire import alerts as wire
from alerts_svc.wire import timeline
from windsock_kit.errors import ConflictError, NotFoundError
from windsock_kit.parameters import Parameters, check_stretch, no_parameters
from windsock_kit.resources import named, resource
from windsock_kit.responses import json

_WEEK_SECONDS = 7 * 86_400.0
# What led to it, and what came of it.
_BEFORE_SECONDS, _AFTER_SECONDS = 900.0, 300.0
_MAX_EVALUATIONS = 5_000
_OPERATION = "operation"


def all_rules(world: World) -> dict[str, Rule]:
    """Return the rules, the built-in ones too."""
    return {**world.rules, **builtin.rules()}


async def _rules(request: Request[State]) -> dict[str, Rule]:
    kept = await request.state["rules"].all()
    return {**{each.rule.name: each.rule for each in kept}, **builtin.rules()}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which alerts are asked for; ``None`` is any."""

    state: AlertState | None
    severity: Severity | None
    rule: str | None
    group: str | None
    operation: str | None

    @classmethod
    def by(cls, asked: Parameters) -> _Wanted:
        return cls(
            asked.one_of("state", AlertState),
            asked.one_of("severity", Severity),
            asked.text("rule"),
            asked.text("group"),
            asked.text(_OPERATION),
        )

    def has(self, alert: Alert, rule: Rule | None) -> bool:
        incident = open_incident(alert)
        severity = alert.severity if incident is None else incident.severity
        return (
            self.state in {None, alert.state}
            and self.severity in {None, severity}
            and self.rule in {None, alert.rule}
            and self.group in {None, None if rule is None else rule.group}
            and self.operation in {None, alert.labels.get(_OPERATION)}
        )


async def index(request: Request[State]) -> Response:
    """List alerts that pend, fire, or are of unknown state: the gravest first, then the newest."""
    asked = Parameters(
        request.query_params, "state", "severity", "rule", "group", _OPERATION, "limit"
    )
    wanted, limit = _Wanted.by(asked), asked.limit()
    world, now = await load(request), clocks(request)
    rules = all_rules(world)
    standing = {each.alert.fingerprint: each for each in standings(world, wall=now.wall)}
    found = [
        alert
        for alert in world.alerts.values()
        if (alert.state is not AlertState.INACTIVE or open_incident(alert))
        and wanted.has(alert, rules.get(alert.rule or ""))
    ]
    found.sort(key=_gravest)
    told = [
        wire.tell_standing(standing[alert.fingerprint], now, rules)
        if alert.fingerprint in standing
        else wire.tell_alert(alert, now, rule=rules.get(alert.rule or ""))
        for alert in found[:limit]
    ]
    return json({"alerts": told, "total": len(found)})


def _gravest(alert: Alert) -> tuple[bool, int, float, str]:
    incident = open_incident(alert)
    severity = alert.severity if incident is None else incident.severity
    since = alert.active_at if incident is None else incident.started_at
    rank = 0 if severity is None else severity.rank
    return incident is None, -rank, -(since or 0.0), alert.fingerprint


async def groups(request: Request[State]) -> Response:
    """List open alerts by the group that they are told in."""
    no_parameters(request.query_params)
    world, now = await load(request), clocks(request)
    found = standings(world, wall=now.wall)
    return json({"groups": wire.tell_groups(found, now, all_rules(world))})


async def history(request: Request[State]) -> Response:
    """List incidents that were open in a stretch of time, those that began last first."""
    asked = Parameters(
        request.query_params, "from", "to", "rule", "severity", _OPERATION, "limit", "before"
    )
    now = clocks(request)
    begin, end = asked.moment("from"), asked.moment("to")
    check_stretch(begin, end, ("from", "to"))
    until = now.wall + 1 if end is None else end
    since = min(now.wall, until) - _WEEK_SECONDS if begin is None else begin
    rule, operation, limit = asked.text("rule"), asked.text(_OPERATION), asked.limit()
    found = await request.state["alerts"].history(
        Past(
            now.inward(since),
            now.inward(until),
            rules=None if rule is None else [rule],
            severity=asked.one_of("severity", Severity),
            labels=None if operation is None else {_OPERATION: operation},
            before=timeline.parse_cursor(asked.text("before")),
            limit=limit,
        )
    )
    rules = await _rules(request)
    return json(
        {
            "incidents": [timeline.tell_episode(each, now, rules) for each in found],
            "next": timeline.cursor(found) if len(found) == limit else None,
        }
    )


async def show(request: Request[State]) -> Response:
    """Tell an alert by its fingerprint, or by the id of an incident."""
    no_parameters(request.query_params)
    found = await _found(request, named(request, "id"))
    now = clocks(request)
    rules = await _rules(request)
    alert = found.alert
    return json(
        {
            "alert": None
            if alert is None
            else wire.tell_alert(alert, now, rule=rules.get(alert.rule or "")),
            "incident": None
            if found.episode is None
            else timeline.tell_episode(found.episode, now, rules),
        }
    )


async def show_timeline(request: Request[State]) -> Response:
    """Answer why somebody was, or was not, told: every evaluation, change, decision and attempt."""
    no_parameters(request.query_params)
    found = await _found(request, named(request, "id"))
    now = clocks(request)
    evidence, replayed = await _evidence(request, found)
    rules = await _rules(request)
    entries = sorted((*explained(evidence), *replayed), key=lambda entry: entry.at)
    episode = found.episode
    return json(
        {
            "id": named(request, "id"),
            "fingerprint": _fingerprint(found),
            "verdict": verdict(evidence),
            "incident": None if episode is None else timeline.tell_episode(episode, now, rules),
            "entries": [timeline.tell_entry(entry) for entry in entries],
        }
    )


async def _evidence(request: Request[State], found: Found) -> tuple[Evidence, list[Entry]]:
    now, state, episode = clocks(request), request.state, found.episode
    begin = now.own - _BEFORE_SECONDS if episode is None else episode.started_at - _BEFORE_SECONDS
    ended = None if episode is None else episode.ended_at
    end = now.own + 1 if ended is None else ended + _AFTER_SECONDS
    measured = await state["evaluations"].of(
        _fingerprint(found), start=begin, end=end, limit=_MAX_EVALUATIONS
    )
    world = await load(request)
    common = Evidence(
        measured=[Measured(each.at, each.value, each.samples) for each in measured],
        rule=all_rules(world).get(_rule_name(found) or ""),
        silences={each.id: each for each in await state["silences"].all()},
        alerts=world.alerts,
        skew=now.wall - now.own,
    )
    if episode is None:
        return common, []
    line = await state["alerts"].line(episode.id)
    sent = await state["deliveries"].of_incident(episode.id)
    evidence = replace(
        common,
        transitions=line.transitions,
        decisions=line.decisions,
        queued=timeline.queued(sent, episode.id, now),
        attempts=timeline.attempted(sent),
    )
    return evidence, timeline.replays(sent, episode.id, now)


def _fingerprint(found: Found) -> str:
    if found.alert is not None:
        return found.alert.fingerprint
    assert found.episode is not None
    return found.episode.fingerprint


def _rule_name(found: Found) -> str | None:
    if found.alert is not None:
        return found.alert.rule
    return None if found.episode is None else found.episode.rule


async def acknowledge(request: Request[State]) -> Response:
    """Take an incident in hand for a while: no reminders meanwhile, and its end is told."""
    no_parameters(request.query_params)
    incident = await _open(request)
    command = wire.parse_acknowledge(
        await body_of(request), incident.id, wall=request.state["time"].wall()
    )
    await request.state["inbox"].put(command)
    return json(wire.tell_acknowledgement(command), 202)


async def release(request: Request[State]) -> Response:
    """Take an acknowledgement back."""
    by = Parameters(request.query_params, "by").text("by") or "api"
    incident = await _open(request)
    command = wire.release(incident.id, by)
    await request.state["inbox"].put(command)
    return json(wire.tell_acknowledgement(command), 202)


async def close(request: Request[State]) -> Response:
    """Declare an incident over, such as one that will never have data again; it resolves, and that is told."""
    no_parameters(request.query_params)
    incident = await _open(request)
    command = wire.parse_close(await body_of(request), incident.id)
    await request.state["inbox"].put(command)
    return json({"incident": incident.id, "by": command.by}, 202)


async def _open(request: Request[State]) -> Incident:
    _, incident = await open_alert(request, named(request, "id"))
    if incident is None:
        raise ConflictError("it is over, or has not fired")
    return incident


async def open_alert(request: Request[State], identity: str) -> tuple[Labels, Incident | None]:
    """Return the labels of an alert, and its incident if that is the one meant and still open.

    Raises ``NotFoundError`` if nothing is known under ``identity``.
    """
    found = await _found(request, identity)
    alert = found.alert
    incident = None if alert is None else open_incident(alert)
    if alert is not None and incident is not None and identity in {incident.id, alert.fingerprint}:
        return alert.labels, incident
    known = found.episode or alert
    assert known is not None
    return known.labels, None


async def _found(request: Request[State], identity: str) -> Found:
    found = await request.state["alerts"].by_id(identity)
    if found.alert is None and found.episode is None:
        raise NotFoundError(f"there is no alert or incident {identity[:50]!r}")
    return found


# The last ones take any name, so they come after all other routes below /api/alerts.
routes = [
    resource("/api/alerts", get=index),
    resource("/api/alerts/groups", get=groups),
    resource("/api/alerts/history", get=history),
    resource("/api/alerts/{id}", get=show),
    resource("/api/alerts/{id}/timeline", get=show_timeline),
    resource("/api/alerts/{id}/acknowledge", post=acknowledge, delete=release),
    resource("/api/alerts/{id}/close", post=close),
]
