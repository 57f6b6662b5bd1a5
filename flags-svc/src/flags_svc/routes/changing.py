"""How a change is made and answered: committed at once, or kept as a request for others to agree to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from flags_svc.domain.change_request import ChangeRequest
from flags_svc.domain.deciding import part_of
from flags_svc.domain.documents import view
from flags_svc.domain.world import Change, ItemKind, Stored, World
from flags_svc.ports import Decide
from flags_svc.routes.asking import author_of
from flags_svc.state import State
from flags_svc.wire.change_requests import request_view
from windsock_kit.errors import NotFoundError
from windsock_kit.preconditions import at_hand, etag
from windsock_kit.responses import json

PREFIX = "/api/feature-flags"
REQUESTS = f"{PREFIX}/change-requests"
_FOLDERS: Mapping[ItemKind, str] = {
    "flag": PREFIX,
    "segment": f"{PREFIX}/segments",
    "environment": f"{PREFIX}/environments",
}


Warn = Callable[[Any], list[str]]


def _nothing(_: object) -> list[str]:
    return []


async def changed(
    request: Request[State],
    kind: ItemKind,
    key: str,
    decide: Decide,
    *,
    warn: Warn = _nothing,
) -> Response:
    """Do what ``decide`` says, and answer what the item now is, and where, if it is new; nothing, if it is no more.

    Where others must agree, the answer is the request that waits for them.
    """
    outcome = await request.state["approvals"].edit(decide, author_of(request))
    if outcome.request is not None:
        return await requested(outcome.request, request.state["live"].world)
    changes, world = outcome.changes, request.state["live"].world
    own = next((each for each in changes if (each.edit.kind, each.edit.key) == (kind, key)), None)
    stored = part_of(world, kind).get(key) if own is None else _as_of(own, world)
    if stored is None:
        return Response(status_code=204)
    warnings = warn(stored.item)
    if own is None or own.edit.action != "create":
        return answer(stored, warnings=warnings)
    headers = {"Location": f"{_FOLDERS[kind]}/{key}"}
    return answer(stored, status=201, headers=headers, warnings=warnings)


async def requested(made: ChangeRequest, world: World) -> Response:
    """Tell that the change waits for others to agree, and where."""
    told = await asyncio.to_thread(request_view, made, world, {})
    return json(told, 202, {"Location": f"{REQUESTS}/{made.id}"})


def _as_of(change: Change, world: World) -> Stored[Any] | None:
    """Return what the change has made, though somebody else may have changed it again by now."""
    if change.edit.item is None:
        return None
    now = part_of(world, change.edit.kind).get(change.edit.key)
    return Stored(
        change.edit.item,
        change.version,
        change.revision,
        change.at if now is None or now.created_at > change.at else now.created_at,
        change.at,
        change.author.name,
    )


def held(request: Request[State], kind: ItemKind, key: str) -> Stored[Any]:
    """Return what there is of this name; raises ``NotFoundError``."""
    stored = part_of(request.state["live"].world, kind).get(key)
    if stored is None:
        raise NotFoundError(f"there is no {kind} {key}")
    return stored


def shown(request: Request[State], stored: Stored[Any]) -> Response:
    """Tell an item, unless the client has this version at hand."""
    headers = etag(stored.version)
    if at_hand(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return answer(stored)


def answer(
    stored: Stored[Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    warnings: list[str] | None = None,
) -> Response:
    """Tell an item, with its version as entity tag."""
    told = view(stored)
    if warnings:
        told["warnings"] = warnings
    return json(told, status, {**etag(stored.version), **(headers or {})})
