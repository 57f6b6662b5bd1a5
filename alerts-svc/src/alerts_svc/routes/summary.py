"""``/api/alerts/summary``: how everything is, in one answer."""

from __future__ import annotations

from collections import Counter
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from alerts_svc.domain import builtin
from alerts_svc.domain.alert import State as AlertState
from alerts_svc.domain.machine import open_incident
from alerts_svc.domain.routing import CONSOLE
from alerts_svc.domain.severity import Severity
from alerts_svc.domain.standing import standings
from alerts_svc.domain.world import World
from alerts_svc.routes.resources import clocks, load
from alerts_svc.state import State
from alerts_svc.store.acting import acting
from alerts_svc.version import VERSION
from alerts_svc.wire.times import Clocks, instant
from windsock_kit.parameters import no_parameters
from windsock_kit.resources import resource
from windsock_kit.responses import json


async def summary(request: Request[State]) -> Response:
    """Count alerts and tell whether they are evaluated, by whom, and what waits to be sent."""
    no_parameters(request.query_params)
    world = await load(request)
    who = await acting(request.state["pool"])
    now = clocks(request)
    evaluated = max(
        (
            at
            for at in (who.evaluated_at, request.state["evaluator"].evaluated_at)
            if at is not None
        ),
        default=None,
    )
    return json(
        {
            "timestamp": instant(now.wall),
            "version": VERSION,
            "counts": _counts(world, now),
            "evaluation": {
                "impaired": _is_impaired(world),
                "last_at": now.told(evaluated),
                "rules": sum(rule.enabled for rule in world.rules.values()),
            },
            "acting": {
                "owner": who.owner if who.acts else None,
                "fence": who.fence,
                "this_process": request.state["keeper"].lease is not None,
            },
            "waiting": {"inbox": who.inbox, "deliveries": who.waiting},
            "channels": {
                "usable": sorted(
                    {CONSOLE, *(name for name, found in world.channels.items() if found.enabled)}
                ),
                "disabled": sorted(
                    name for name, found in world.channels.items() if found.disabled_reason
                ),
            },
        }
    )


def _counts(world: World, now: Clocks) -> dict[str, Any]:
    open_ones = [found for a in world.alerts.values() if (found := open_incident(a)) is not None]
    states = Counter(alert.state for alert in world.alerts.values())
    suppressed = sum(standing.suppressed for standing in standings(world, wall=now.wall))
    return {
        "open": len(open_ones),
        **{severity.value: sum(i.severity is severity for i in open_ones) for severity in Severity},
        "acknowledged": sum((i.acknowledged_until or 0) > now.own for i in open_ones),
        "suppressed": suppressed,
        "pending": states[AlertState.PENDING],
        "no_data": states[AlertState.NO_DATA],
        "error": states[AlertState.ERROR],
    }


def _is_impaired(world: World) -> bool:
    return any(
        alert.rule == builtin.EVALUATION_IMPAIRED and open_incident(alert) is not None
        for alert in world.alerts.values()
    )


routes = [resource("/api/alerts/summary", get=summary)]
