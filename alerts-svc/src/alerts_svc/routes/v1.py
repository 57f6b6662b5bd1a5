"""Prometheus' API of rules and alerts, for Grafana and others that show them."""

from __future__ import annotations

from functools import wraps

from starlette.requests import Request
from starlette.responses import Response

from alerts_svc.domain import builtin
from alerts_svc.domain.annotating import annotated
from alerts_svc.domain.composing import rule_of
from alerts_svc.domain.routing import labelled
from alerts_svc.domain.world import World
from alerts_svc.routes.resources import Handler, clocks, load
from alerts_svc.state import State
from alerts_svc.wire import prometheus
from alerts_svc.wire.prometheus import Active
from windsock_kit.errors import ServiceError
from windsock_kit.postgres import unavailable
from windsock_kit.resources import resource
from windsock_kit.responses import json

_KINDS = {404: "not_found", 503: "unavailable"}


def spoken(handler: Handler) -> Handler:
    """Tell failures as Prometheus does."""

    @wraps(handler)
    async def wrapped(request: Request[State]) -> Response:
        try:
            with unavailable("the store is away; try again"):
                return await handler(request)
        except ServiceError as error:
            status = 400 if error.status == 422 else int(error.status)
            text = f"{error.path}: {error.detail}" if error.path else error.detail
            kind = _KINDS.get(status, "bad_data")
            return json(
                {"status": "error", "errorType": kind, "error": text}, status, error.headers()
            )

    return wrapped


def _answer(data: object) -> Response:
    return json({"status": "success", "data": data})


def _active(request: Request[State], world: World) -> list[Active]:
    """Return the alerts of rules that pend or fire, oldest first."""
    now = clocks(request)
    skew = now.wall - now.own
    found = []
    for alert in world.alerts.values():
        since = alert.active_at if alert.incident is None else alert.incident.started_at
        if alert.rule is None or since is None:
            continue
        if alert.active_at is not None:
            since = min(since, alert.active_at)
        clear = None if alert.clear_at is None else alert.clear_at + skew
        labels = labelled(alert)
        said = annotated(rule_of(world.rules, alert), alert.annotations, labels, alert.value)
        found.append(Active(alert, labels, said, since + skew, clear))
    return sorted(found, key=lambda each: (each.since, each.alert.fingerprint))


@spoken
async def get_rules(request: Request[State]) -> Response:
    """List rules by group, with their alerts."""
    asked = prometheus.parse_asked(request.query_params)
    world = await load(request)
    by_rule: dict[str, list[Active]] = {}
    for active in _active(request, world):
        by_rule.setdefault(active.alert.rule or "", []).append(active)
    rules = {**world.rules, **builtin.rules()}
    evaluated = _evaluated(request, world)
    return _answer({"groups": prometheus.groups(rules.values(), by_rule, asked, evaluated)})


def _evaluated(request: Request[State], world: World) -> prometheus.Evaluated:
    now = clocks(request)
    # Who does not act itself knows it from what the other has measured.
    own = request.state["evaluator"].evaluated_at or max(
        (alert.updated_at for alert in world.alerts.values()), default=None
    )
    at = None if own is None else own + now.wall - now.own
    return prometheus.Evaluated(request.state["evaluation_interval_seconds"], at)


@spoken
async def get_alerts(request: Request[State]) -> Response:
    """List the alerts of rules that pend or fire."""
    world = await load(request)
    active = _active(request, world)
    return _answer({"alerts": [prometheus.alert(each) for each in active]})


routes = [
    resource("/api/v1/rules", get=get_rules),
    resource("/api/v1/alerts", get=get_alerts),
]
