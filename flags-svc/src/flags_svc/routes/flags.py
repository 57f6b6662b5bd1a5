"""``/api/feature-flags`` and one flag below it: to list, to read, to make, to change, to remove."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from flags_svc.domain.documents import view
from flags_svc.domain.flag import Kind
from flags_svc.domain.listing import Archived, FlagType, Sought, found
from flags_svc.domain.world import World
from flags_svc.routes.changing import PREFIX
from flags_svc.routes.items import Items
from flags_svc.state import State
from windsock_kit.errors import InvalidError
from windsock_kit.parameters import Parameters
from windsock_kit.preconditions import at_hand
from windsock_kit.resources import resource
from windsock_kit.responses import json

FLAGS = Items("flag", "flag_name", "flags")
ONE = f"{PREFIX}/{{{FLAGS.parameter}}}"
_SOUGHT = ("kind", "type", "owner", "tag", "enabled_in", "disabled_in", "search", "archived")


async def index(request: Request[State]) -> Response:
    """List flags by key, a page at a time."""
    asked = Parameters(request.query_params, *_SOUGHT, "after", "limit")
    world = request.state["live"].world
    tag = f'"{world.epoch}-{world.revision}"'
    sought, after, limit = _sought(asked, world), asked.text("after") or "", asked.limit()
    if at_hand(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers={"ETag": tag})
    # Of many flags it takes a while to find some, and others want answers meanwhile.
    told = await asyncio.to_thread(_page, world, sought, after, limit)
    return json(told, headers={"ETag": tag})


def _page(world: World, sought: Sought, after: str, limit: int) -> dict[str, object]:
    flags = found(world, sought)
    page = [stored for stored in flags if stored.item.key > after][: limit + 1]
    return {
        "flags": [view(stored) for stored in page[:limit]],
        "total": len(flags),
        "next": page[limit - 1].item.key if len(page) > limit else None,
        "epoch": world.epoch,
        "revision": world.revision,
    }


def _sought(asked: Parameters, world: World) -> Sought:
    return Sought(
        kind=asked.one_of("kind", Kind),
        type=asked.one_of("type", FlagType),
        owner=asked.text("owner"),
        tag=asked.text("tag"),
        enabled_in=_environment(asked, "enabled_in", world),
        disabled_in=_environment(asked, "disabled_in", world),
        text=asked.text("search"),
        archived=asked.one_of("archived", Archived) or Archived.NO,
    )


def _environment(asked: Parameters, name: str, world: World) -> str | None:
    given = asked.text(name)
    if given is not None and given not in world.environments:
        allowed = sorted(world.environments)
        raise InvalidError(f"there is no environment {given[:100]!r}", path=name, allowed=allowed)
    return given


routes = [
    resource(PREFIX, get=index, post=FLAGS.create),
    resource(ONE, get=FLAGS.show, put=FLAGS.replace, patch=FLAGS.patch, delete=FLAGS.delete),
]
