"""``/api/feature-flags/export`` and ``/import``: all that is configured in one document, also in the formats of others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from flags_svc.domain.bulk import Given, OnConflict, export, import_items, items_of
from flags_svc.domain.world import Edit, World
from flags_svc.routes.asking import author_of, json_of
from flags_svc.routes.changing import PREFIX, requested
from flags_svc.state import State
from flags_svc.wire.imports import outcome_view
from windsock_kit.body import read_body
from windsock_kit.parameters import Parameters
from windsock_kit.resources import resource
from windsock_kit.responses import json

# As much as all flags that are possible may need; other bodies say less.
MAX_IMPORT_BYTES = 16 * 2**20


class YesNo(StrEnum):
    """A switch in an address."""

    YES = "true"
    NO = "false"


class Wanted(StrEnum):
    """In which words the flags are told."""

    WINDSOCK = "windsock"


async def tell(request: Request[State]) -> Response:
    """Tell everything that is configured, as it can be imported again."""
    asked = Parameters(request.query_params, "format")
    asked.one_of("format", Wanted)
    world = request.state["live"].world
    told = await asyncio.to_thread(export, world)
    return json({"epoch": world.epoch, "revision": world.revision, **told})


@dataclass(slots=True)
class _Seen:
    """What an import was decided on last."""

    world: World | None = None
    edits: Sequence[Edit] = ()


async def take(request: Request[State]) -> Response:
    """Make or replace all items of a document, or none of them."""
    asked = Parameters(request.query_params, "format", "on_conflict", "dry_run")
    on_conflict = asked.one_of("on_conflict", OnConflict) or OnConflict.REPLACE
    dry_run = asked.one_of("dry_run", YesNo) is YesNo.YES
    asked.one_of("format", Wanted)
    given, notes = await _given(request)
    decide, seen = import_items(given, on_conflict), _Seen()

    def noting(world: World) -> Sequence[Edit]:
        seen.world, seen.edits = world, decide(world)
        return [] if dry_run else seen.edits

    outcome = await request.state["approvals"].edit(noting, author_of(request))
    if outcome.request is not None:
        return requested(outcome.request, request.state["live"].world)
    assert seen.world is not None
    told = outcome_view(seen.world, seen.edits, given=len(given), notes=notes, dry_run=dry_run)
    return json({**told, "revision": request.state["live"].revision})


async def _given(request: Request[State]) -> tuple[list[Given], list[Any]]:
    body = await read_body(
        request, max_bytes=MAX_IMPORT_BYTES, max_decompressed_bytes=MAX_IMPORT_BYTES
    )
    return await asyncio.to_thread(lambda: items_of(json_of(body))), []


routes = [
    resource(f"{PREFIX}/export", get=tell),
    resource(f"{PREFIX}/import", post=take),
]
