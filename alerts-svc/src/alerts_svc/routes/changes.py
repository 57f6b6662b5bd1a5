"""``/api/alerts/changes``: what people changed in the application, told beside the alerts of that time."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from alerts_svc.routes.resources import body_of
from alerts_svc.state import State
from alerts_svc.wire.changes import AHEAD_SECONDS, parse_change, tell_change
from windsock_kit.parameters import Parameters, check_stretch, no_parameters
from windsock_kit.resources import resource
from windsock_kit.responses import json

_DAY_SECONDS = 86_400.0


async def index(request: Request[State]) -> Response:
    """List changes, newest first; those of the last day unless said otherwise."""
    asked = Parameters(request.query_params, "from", "to", "limit")
    wall = request.state["time"].wall()
    begin, end = asked.moment("from"), asked.moment("to")
    check_stretch(begin, end, ("from", "to"))
    until = wall + AHEAD_SECONDS if end is None else end
    since = min(wall, until) - _DAY_SECONDS if begin is None else begin
    found = await request.state["changes"].between(since, until, limit=asked.limit())
    return json({"changes": [tell_change(each) for each in found]})


async def create(request: Request[State]) -> Response:
    """Take note of a change; one that was sent before is answered as it is kept."""
    no_parameters(request.query_params)
    wanted = parse_change(await body_of(request), wall=request.state["time"].wall())
    kept, is_new = await request.state["changes"].put(wanted)
    return json(tell_change(kept), 201 if is_new else 200)


routes = [resource("/api/alerts/changes", get=index, post=create)]
