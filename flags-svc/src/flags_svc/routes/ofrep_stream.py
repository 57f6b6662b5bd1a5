"""``/ofrep/v1/sse``: where browsers hear that they should ask for their flags again."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from flags_svc.live.event_stream import EventStream
from flags_svc.ofrep.answers import STREAM_PATH
from flags_svc.ofrep.serving import Ofrep
from flags_svc.routes.cors import allowing
from flags_svc.state import State
from windsock_kit.errors import ServiceError, render


async def stream(request: Request[State]) -> Response:
    """Follow the environment that the token is for.

    A client that comes for the first time knows what it was answered together with the token.
    """
    ofrep: Ofrep = request.scope["state"]["ofrep"]
    allowed = _allowed(request)
    try:
        opened = ofrep.tokens.read(request.query_params.get("token", ""))
        last = request.headers.get("last-event-id") or opened.event_id
        subscription = ofrep.hub.subscribe(opened.environment, last, ofrep.events)
    except ServiceError as error:
        refused = render(error)
        refused.headers.update(allowed)
        return refused
    return EventStream(ofrep.hub, subscription, allowed)


def _allowed(request: Request[State]) -> dict[str, str]:
    origin = request.headers.get("origin")
    if origin is None:
        return {}
    return {name.decode(): value.decode() for name, value in allowing(origin.encode("latin-1"))}


routes = [Route(STREAM_PATH, stream)]
