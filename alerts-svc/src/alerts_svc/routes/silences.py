"""``/api/alerts/silences``."""

from __future__ import annotations

import uuid

from starlette.requests import Request
from starlette.responses import Response

from alerts_svc.routes.resources import body_of
from alerts_svc.state import State
from alerts_svc.wire import silences as wire
from windsock_kit.parameters import Parameters, no_parameters
from windsock_kit.resources import named, resource
from windsock_kit.responses import json


async def index(request: Request[State]) -> Response:
    """List silences, those that begin last first."""
    wanted = Parameters(request.query_params, "state").one_of("state", wire.SilenceState)
    wall = request.state["time"].wall()
    found = [
        silence
        for silence in await request.state["silences"].all()
        if wanted is None or wire.state_of(silence, wall) is wanted
    ]
    found.sort(key=lambda silence: (-silence.starts_at, silence.id))
    return json({"silences": [wire.tell_silence(silence, wall) for silence in found]})


async def create(request: Request[State]) -> Response:
    """Make a silence; it is in force, whatever happens, once this is answered."""
    no_parameters(request.query_params)
    silences = request.state["silences"]
    wall = await silences.now()
    wanted = wire.parse_silence(await body_of(request), identity=str(uuid.uuid4()), wall=wall)
    wire.check_room(await silences.all(), wall)
    made = await silences.create(wanted)
    return json(wire.tell_silence(made, wall), 201, {"Location": f"/api/alerts/silences/{made.id}"})


async def show(request: Request[State]) -> Response:
    """Tell one silence."""
    no_parameters(request.query_params)
    found = await request.state["silences"].get(named(request, "id"))
    return json(wire.tell_silence(found, request.state["time"].wall()))


async def replace(request: Request[State]) -> Response:
    """Change a silence that is not over."""
    no_parameters(request.query_params)
    silences = request.state["silences"]
    wall = await silences.now()
    identity = named(request, "id")
    wanted = wire.parse_silence(await body_of(request), identity=identity, wall=wall)
    changed = wire.changed(await silences.get(identity), wanted, wall=wall)
    return json(wire.tell_silence(await silences.replace(changed), wall))


async def expire(request: Request[State]) -> Response:
    """End a silence now; it stays in the list as expired."""
    no_parameters(request.query_params)
    silences = request.state["silences"]
    await silences.expire(named(request, "id"))
    found = await silences.get(named(request, "id"))
    wall = max(request.state["time"].wall(), found.ends_at)
    return json(wire.tell_silence(found, wall))


routes = [
    resource("/api/alerts/silences", get=index, post=create),
    resource("/api/alerts/silences/{id}", get=show, put=replace, delete=expire),
]
