"""Where processes report how far they are, and where that is to be read."""

from __future__ import annotations

import time
from collections import Counter

from starlette.requests import Request
from starlette.responses import Response

from flags_svc.domain.times import instant
from flags_svc.live.delays import told
from flags_svc.live.event_id import EventId
from flags_svc.live.standing import Standing, standing
from flags_svc.routes.asking import body_of
from flags_svc.state import State
from flags_svc.store.instances import Instance
from flags_svc.wire.reports import report_of
from windsock_kit.parameters import Parameters, no_parameters
from windsock_kit.resources import resource
from windsock_kit.responses import json

# Whoever has not been heard of for so long is shown no more.
SHOWN_SECONDS = 300.0
MAX_INSTANCES = 10_000
MAX_SHOWN = 1_000
_ORDER = list(Standing)[::-1]


async def report(request: Request[State]) -> Response:
    """Take in a report; how it counts is seen within a second."""
    no_parameters(request.query_params)
    given, age = report_of(await body_of(request), time.time())
    request.state["reception"].take(given, age)
    return Response(status_code=204)


async def propagation(request: Request[State]) -> Response:
    """Tell how far every process is, and how soon changes were in force."""
    given = Parameters(request.query_params, "limit")
    limit = given.limit(most=MAX_SHOWN, default=MAX_SHOWN)
    reception, now = request.state["reception"], time.time()
    newest = await request.state["configuration"].head()
    head = EventId(newest.epoch, newest.revision)
    found = await reception.instances.seen(now - SHOWN_SECONDS, limit=MAX_INSTANCES)
    committed = request.state["live"].recent.at
    stands = [(standing(each, head, committed, now), each) for each in found]
    stands.sort(key=lambda pair: _ORDER.index(pair[0]))
    counts = Counter(stand for stand, _ in stands)
    shown = [_view(each, stand, head) for stand, each in stands]
    return json(
        {
            "epoch": head.epoch,
            "revision": head.revision,
            "at": instant(now),
            "counts": {stand.value: counts[stand] for stand in Standing},
            "instances": shown[:limit],
            "laggards": [each for each in shown if each["standing"] == Standing.LAGGING][:limit],
            "change_to_applied": told(await reception.applied.total()),
        }
    )


def _view(instance: Instance, stand: Standing, head: EventId) -> dict[str, object]:
    same = instance.epoch == head.epoch
    return {
        "instance": instance.instance,
        "kind": instance.kind,
        "name": instance.name,
        # A service has all of them.
        "environment": instance.environment or None,
        "revision": instance.revision,
        # Revisions of another database cannot be counted.
        "behind": max(0, head.revision - instance.revision) if same else None,
        "standing": stand.value,
        "first_seen": instant(instance.first_seen),
        "last_seen": instant(instance.last_seen),
    }


routes = [
    resource("/api/feature-flags/reports", post=report),
    resource("/api/feature-flags/propagation", get=propagation),
]
