"""``/api/feature-flags/change-requests``: changes of protected environments that wait for others to agree."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from flags_svc.domain.change_request import ChangeRequest, Status
from flags_svc.domain.fields import fields_of
from flags_svc.routes.asking import author_of, document_of
from flags_svc.routes.changing import REQUESTS
from flags_svc.state import State
from flags_svc.wire.change_requests import request_view, versions_of
from windsock_kit.parameters import Parameters, no_parameters
from windsock_kit.resources import named, resource
from windsock_kit.responses import json


async def index(request: Request[State]) -> Response:
    """List requests, newest first."""
    asked = Parameters(request.query_params, "status", "before", "limit")
    status, before, limit = asked.one_of("status", Status), asked.text("before"), asked.limit()
    found = await request.state["requests"].page(status=status, before=before, limit=limit + 1)
    following = found[limit - 1].id if len(found) > limit else None
    told = await _views(request, found[:limit])
    return json({"change_requests": told, "next": following})


async def show(request: Request[State]) -> Response:
    """Tell one request."""
    no_parameters(request.query_params)
    return json(await _view(request, await request.state["requests"].get(named(request, "id"))))


async def approve(request: Request[State]) -> Response:
    """Agree to a request; it is in force as soon as enough others do."""
    await _alone(request)
    outcome = await request.state["approvals"].approve(named(request, "id"), author_of(request))
    assert outcome.request is not None
    return json(await _view(request, outcome.request))


async def reject(request: Request[State]) -> Response:
    """Refuse a request; its author withdraws it so."""
    await _alone(request)
    found = await request.state["approvals"].reject(named(request, "id"), author_of(request))
    return json(await _view(request, found))


async def _view(request: Request[State], found: ChangeRequest) -> dict[str, object]:
    (told,) = await _views(request, [found])
    return told


async def _views(
    request: Request[State], found: Sequence[ChangeRequest]
) -> list[dict[str, object]]:
    world = request.state["live"].world
    changes = await request.state["history"].versions(versions_of(found))
    versions = {
        (change.edit.kind, change.edit.key, change.version): change.edit.item for change in changes
    }
    # Each may be about all flags.
    return await asyncio.to_thread(lambda: [request_view(each, world, versions) for each in found])


async def _alone(request: Request[State]) -> None:
    no_parameters(request.query_params)
    fields_of(await document_of(request, default={}), "", ())


_ONE = f"{REQUESTS}/{{id}}"
routes = [
    resource(REQUESTS, get=index),
    resource(_ONE, get=show),
    resource(f"{_ONE}/approve", post=approve),
    resource(f"{_ONE}/reject", post=reject),
]
