"""``/api/feature-flags/export`` and ``/import``: all that is configured in one document, also in the formats of others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from flags_svc.conversion import flagd, flagd_export, growthbook, unleash
from flags_svc.conversion.outcome import Converted
from flags_svc.domain.bulk import OnConflict, export, import_items, items_of
from flags_svc.domain.importing import kept_elsewhere
from flags_svc.domain.projection import project_world
from flags_svc.domain.world import Edit, World
from flags_svc.routes.asking import author_of, json_of
from flags_svc.routes.changing import PREFIX, requested
from flags_svc.state import State
from flags_svc.wire.imports import outcome_view
from windsock_kit.body import read_body
from windsock_kit.errors import InvalidError, ServiceError
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
    """In whose words the flags are told."""

    WINDSOCK = "windsock"
    FLAGD = "flagd"


class Source(StrEnum):
    """Whose words an import is in."""

    WINDSOCK = "windsock"
    FLAGD = "flagd"
    UNLEASH = "unleash"
    GROWTHBOOK = "growthbook"


_READ: Mapping[Source, Callable[[Any, str], Converted]] = {
    Source.FLAGD: flagd.read,
    Source.UNLEASH: unleash.read,
    Source.GROWTHBOOK: growthbook.read,
}


async def tell(request: Request[State]) -> Response:
    """Tell everything that is configured, as it can be imported again; to others, one environment of it."""
    asked = Parameters(request.query_params, "format", "environment")
    wanted = asked.one_of("format", Wanted) or Wanted.WINDSOCK
    environment = _environment(request, asked, wanted is Wanted.WINDSOCK)
    world = request.state["live"].world
    if environment is None:
        told = await asyncio.to_thread(export, world)
        return json({"epoch": world.epoch, "revision": world.revision, **told})
    written, notes = await asyncio.to_thread(
        lambda: flagd_export.write(project_world(world, environment))
    )
    # flagd passes over what it does not know beside the flags, but for its own metadata.
    headers = {"X-Windsock-Notes": str(len(notes))}
    return json(written, headers=headers)


def _environment(request: Request[State], asked: Parameters, all_of_them: bool) -> str | None:
    """Return the environment that others' words are about; ours are about all."""
    given = asked.text("environment")
    if all_of_them:
        if given is not None:
            raise InvalidError(
                "windsock's own words are about all environments", path="environment"
            )
        return None
    name = given or request.state["default_environment"]
    known = request.state["live"].world.environments
    if name not in known:
        raise InvalidError(
            f"there is no environment {name[:100]!r}", path="environment", allowed=sorted(known)
        )
    return name


@dataclass(slots=True)
class _Seen:
    """What an import was decided on last."""

    world: World | None = None
    edits: Sequence[Edit] = ()


async def take(request: Request[State]) -> Response:
    """Make or replace all items of a document, or none of them."""
    asked = Parameters(request.query_params, "format", "environment", "on_conflict", "dry_run")
    source = asked.one_of("format", Source) or Source.WINDSOCK
    environment = _environment(request, asked, source is Source.WINDSOCK)
    on_conflict = asked.one_of("on_conflict", OnConflict) or OnConflict.REPLACE
    dry_run = asked.one_of("dry_run", YesNo) is YesNo.YES
    body = await read_body(
        request, max_bytes=MAX_IMPORT_BYTES, max_decompressed_bytes=MAX_IMPORT_BYTES
    )
    converted = await asyncio.to_thread(_converted, body, source, environment)
    seen = _Seen()

    def decide(world: World) -> Sequence[Edit]:
        if seen.world is not world:
            given = converted.given
            if environment is not None:
                given = kept_elsewhere(world, given, environment)
            seen.edits = import_items(given, on_conflict)(world)
            seen.world = world
        return [] if dry_run else seen.edits

    # It takes a while, and only once if nobody changes anything meanwhile. A refusal is told by the editor.
    with suppress(ServiceError):
        await asyncio.to_thread(decide, request.state["live"].world)
    outcome = await request.state["approvals"].edit(decide, author_of(request))
    if outcome.request is not None:
        return await requested(outcome.request, request.state["live"].world)
    assert seen.world is not None
    told = outcome_view(seen.world, seen.edits, converted, dry_run=dry_run)
    return json({**told, "revision": request.state["live"].revision})


def _converted(body: bytes, source: Source, environment: str | None) -> Converted:
    found = json_of(body)
    if environment is None:
        return Converted(items_of(found))
    return _READ[source](found, environment)


routes = [
    resource(f"{PREFIX}/export", get=tell),
    resource(f"{PREFIX}/import", post=take),
]
