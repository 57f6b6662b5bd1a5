"""``/api/alerts/channels``: where messages go. Secrets go in and never come out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace as changed
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.notify.channel_settings import check_settings, masked, rotated
from alerts_svc.ports import Retry
from alerts_svc.routes.pace import Pace
from alerts_svc.routes.resources import Handler, body_of
from alerts_svc.state import State
from alerts_svc.wire import channels as wire
from alerts_svc.wire.channel_tests import make_test_message, tell_result
from windsock_kit.errors import ConflictError, InvalidError
from windsock_kit.parameters import no_parameters
from windsock_kit.preconditions import PreconditionFailedError, etag, expected_version
from windsock_kit.resources import named, resource
from windsock_kit.responses import json

CONSOLE = "console"
_ATTEMPT_SECONDS = 15.0
_TESTS_PER_CHANNEL, _TESTS_IN_ALL, _TEST_SECONDS = 3, 10, 60.0


def _told(channel: Channel) -> dict[str, Any]:
    return wire.tell_channel(channel, masked(channel.kind, channel.settings))


async def index(request: Request[State]) -> Response:
    """List channels by name."""
    no_parameters(request.query_params)
    found = await request.state["channels"].all()
    return json({"channels": [_told(channel) for channel in found]})


async def create(request: Request[State]) -> Response:
    """Make a channel; a webhook's secret that was made here is shown in this answer and never again."""
    no_parameters(request.query_params)
    given = wire.parse_channel(await body_of(request))
    if given.kind is Kind.CONSOLE or given.name == CONSOLE:
        raise ConflictError("there is one console, and it is always there")
    settings = await check_settings(given.kind, given.settings, request.state["guard"])
    if len(await request.state["channels"].all()) >= wire.MAX_CHANNELS:
        raise ConflictError(f"there are {wire.MAX_CHANNELS} channels, and no more are possible")
    made = await request.state["channels"].create(
        Channel(given.name, given.kind, settings, given.enabled)
    )
    return json(
        _told(made) | _shown_once(given.settings, made.settings),
        201,
        {**etag(made.version), "Location": f"/api/alerts/channels/{made.name}"},
    )


async def show(request: Request[State]) -> Response:
    """Tell one channel."""
    no_parameters(request.query_params)
    found = await request.state["channels"].get(named(request))
    return json(_told(found), headers=etag(found.version))


async def replace(request: Request[State]) -> Response:
    """Change a channel; secrets that are left out stay. One that the service stopped using is used again."""
    no_parameters(request.query_params)
    expected = expected_version(request.headers.get("if-match"))
    given = wire.parse_channel(await body_of(request))
    if given.name != named(request):
        raise InvalidError("the name is that of the address, and cannot change", path="name")
    held = await request.state["channels"].get(given.name)
    if given.kind is not held.kind:
        raise InvalidError(
            "the kind cannot change; make another channel", path="kind", allowed=[held.kind]
        )
    if held.kind is Kind.CONSOLE and not given.enabled:
        raise ConflictError("the console cannot be turned off")
    settings = await check_settings(
        held.kind, given.settings, request.state["guard"], stored=held.settings
    )
    wanted = Channel(given.name, held.kind, settings, given.enabled)
    made = await _put(request, wanted, held.version, expected)
    return json(_told(made), headers=etag(made.version))


async def delete(request: Request[State]) -> Response:
    """Remove a channel that no route names."""
    no_parameters(request.query_params)
    expected = expected_version(request.headers.get("if-match"))
    name = named(request)
    configuration = await request.state["configurations"].get()
    users = [route.name for route in configuration.routes if name in (route.channels or ())]
    if users or configuration.fallback == name:
        what = f"the route {users[0]}" if users else "the configuration as its fallback"
        raise ConflictError(f"{name} is named by {what}; change the configuration first")
    await request.state["channels"].delete(name, expected)
    return Response(status_code=204)


async def rotate(request: Request[State]) -> Response:
    """Give a webhook a new secret and show it once; for a day both sign."""
    no_parameters(request.query_params)
    held = await request.state["channels"].get(named(request))
    if held.kind not in {Kind.WEBHOOK, Kind.HEARTBEAT}:
        raise ConflictError(f"{held.name} is a channel of kind {held.kind}; only webhooks sign")
    settings = rotated(held.settings, wall=request.state["time"].wall())
    made = await _put(request, changed(held, settings=settings), held.version)
    return json(
        _told(made) | _shown_once({}, made.settings),
        headers={**etag(made.version), "Cache-Control": "no-store"},
    )


async def _put(
    request: Request[State], wanted: Channel, read: int, expected: int | None = None
) -> Channel:
    """Store a channel that was made from the version ``read``, so nobody's change in between is lost.

    Who named no version made no condition that could fail, and gets ``ConflictError``.
    """
    try:
        return await request.state["channels"].replace(wanted, expected or read)
    except PreconditionFailedError:
        if expected is not None:
            raise
        raise ConflictError(
            f"channel {wanted.name} was changed at the same moment; send it again"
        ) from None


def _tester() -> Handler:
    pace = Pace(_TESTS_PER_CHANNEL, _TESTS_IN_ALL, _TEST_SECONDS, time.monotonic)

    async def test(request: Request[State]) -> Response:
        """Send a test message at once, past the outbox, and tell what came of it."""
        no_parameters(request.query_params)
        channel = await request.state["channels"].get(named(request))
        pace.pass_through(channel.name)
        wall = request.state["time"].wall()
        message = make_test_message(channel, wall=wall)
        began = time.monotonic()
        try:
            async with asyncio.timeout(_ATTEMPT_SECONDS):
                transport = request.state["transports"][channel.kind]
                result = await transport.send(channel, message, wall=wall)
        except TimeoutError:
            result = Retry(f"no answer within {_ATTEMPT_SECONDS:g} seconds", unknown=True)
        return json(tell_result(message, result, time.monotonic() - began))

    return test


def _shown_once(given: Mapping[str, Any], made: Mapping[str, Any]) -> dict[str, Any]:
    """Return the signing secret if it was made here rather than given."""
    secret = made.get("secret")
    return {"secret": secret} if secret is not None and secret != given.get("secret") else {}


def routes() -> list[Route]:
    """Return the routes, with a pace of tests of their own."""
    return [
        resource("/api/alerts/channels", get=index, post=create),
        resource("/api/alerts/channels/{name}", get=show, put=replace, delete=delete),
        resource("/api/alerts/channels/{name}/test", post=_tester()),
        resource("/api/alerts/channels/{name}/rotate-secret", post=rotate),
    ]
