"""``/api/alerts/configuration``: routes, grouping, inhibitions and mute windows."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from alerts_svc.routes.resources import body_of
from alerts_svc.state import State
from alerts_svc.wire.configuration import parse_configuration, tell_configuration
from windsock_kit.parameters import no_parameters
from windsock_kit.preconditions import etag, expected_version
from windsock_kit.resources import resource
from windsock_kit.responses import json


async def show(request: Request[State]) -> Response:
    """Tell what is in force."""
    no_parameters(request.query_params)
    found = await request.state["configurations"].get()
    return json(tell_configuration(found), headers=etag(found.version))


async def replace(request: Request[State]) -> Response:
    """Put a document in force in place of the one before."""
    no_parameters(request.query_params)
    state = request.state
    expected = expected_version(request.headers.get("if-match"))
    channels = [channel.name for channel in await state["channels"].all()]
    wanted = parse_configuration(await body_of(request), channels)
    made = await state["configurations"].replace(wanted, expected)
    return json(tell_configuration(made), headers=etag(made.version))


routes = [resource("/api/alerts/configuration", get=show, put=replace)]
