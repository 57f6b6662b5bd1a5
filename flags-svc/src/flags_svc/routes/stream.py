"""The stream that SDKs follow an environment by."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from flags_svc.live.event_stream import EventStream
from flags_svc.live.running import LiveState
from windsock_kit.parameters import Parameters
from windsock_kit.resources import resource


async def follow(request: Request[LiveState]) -> Response:
    """Send what is in force, then every change of it, until the client goes."""
    given = Parameters(request.query_params, "environment")
    environment = given.text("environment") or request.state["default_environment"]
    hub = request.state["hub"]
    last_event_id = request.headers.get("last-event-id")
    subscription = hub.subscribe(environment, last_event_id, request.state["sdk_events"])
    return EventStream(hub, subscription)


routes = [resource("/api/feature-flags/stream", get=follow)]
