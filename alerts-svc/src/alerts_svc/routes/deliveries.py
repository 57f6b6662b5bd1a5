"""``/api/alerts/deliveries``: what was sent where, every attempt, and once more."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from alerts_svc.routes.resources import body_of, clocks
from alerts_svc.state import State
from alerts_svc.wire import deliveries as wire
from windsock_kit.errors import NotFoundError
from windsock_kit.parameters import Parameters, no_parameters
from windsock_kit.resources import named, resource
from windsock_kit.responses import json


async def index(request: Request[State]) -> Response:
    """List deliveries, newest first."""
    asked = Parameters(request.query_params, "channel", "status", "incident", "limit", "before")
    status, limit = asked.one_of("status", wire.DeliveryStatus), asked.limit()
    found = await request.state["deliveries"].list(
        channel=asked.text("channel"),
        status=status,
        incident=asked.text("incident"),
        before=asked.whole("before", most=wire.MAX_NUMBER),
        limit=limit,
    )
    now = clocks(request)
    return json(
        {
            "deliveries": [wire.tell_delivery(each, now) for each in found],
            "next": found[-1].id if len(found) == limit else None,
        }
    )


async def show(request: Request[State]) -> Response:
    """Tell one delivery with every attempt at it."""
    no_parameters(request.query_params)
    found = await request.state["deliveries"].get(_number(request))
    return json(wire.tell_delivery(found, clocks(request), attempts=True))


async def replay(request: Request[State]) -> Response:
    """Put a delivery in the queue again, under the same id, so that a receiver knows what it has already."""
    no_parameters(request.query_params)
    by = wire.parse_replay(await body_of(request))
    found = await request.state["deliveries"].replay(_number(request), by=by)
    return json(wire.tell_delivery(found, clocks(request), attempts=True), 202)


def _number(request: Request[State]) -> int:
    text = named(request, "id")
    if text.isascii() and text.isdecimal() and len(text) <= 19 and int(text) <= wire.MAX_NUMBER:
        return int(text)
    raise NotFoundError(f"there is no delivery {text[:50]!r}")


routes = [
    resource("/api/alerts/deliveries", get=index),
    resource("/api/alerts/deliveries/{id}", get=show),
    resource("/api/alerts/deliveries/{id}/replay", post=replay),
]
