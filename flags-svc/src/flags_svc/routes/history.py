"""What happened: to one item with what each change made different, and to all of them; and how to go back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from flags_svc.domain import decisions
from flags_svc.domain.fields import fields_of
from flags_svc.domain.world import Change
from flags_svc.routes import environments, flags, segments
from flags_svc.routes.asking import document_of, expected_of
from flags_svc.routes.changing import PREFIX, changed
from flags_svc.routes.items import Items
from flags_svc.state import State
from flags_svc.wire.history import entry, version_view
from windsock_kit.errors import NotFoundError
from windsock_kit.parameters import Parameters, no_parameters
from windsock_kit.resources import named, resource
from windsock_kit.responses import json

# The most that a version or revision can be: they are bigints.
_MOST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Histories:
    """The handlers of what happened to items of one kind."""

    items: Items

    async def index(self, request: Request[State]) -> Response:
        """Tell the changes of one item, newest first, with what each made different."""
        asked = Parameters(request.query_params, "before", "limit")
        before, limit = asked.whole("before", most=_MOST), asked.limit()
        key, kind = named(request, self.items.parameter), self.items.kind
        # One more, for what the last of them made different.
        found = await request.state["history"].of_item(kind, key, before=before, limit=limit + 1)
        if not found and before is None:
            raise NotFoundError(f"there is no {kind} {key}, and never was")
        before_them = [each.edit.item for each in found[1:]] + [None]
        entries = await asyncio.to_thread(lambda: [*map(entry, found[:limit], before_them)])
        following = found[limit - 1].version if len(found) > limit else None
        return json({"history": entries, "next": following})

    async def show(self, request: Request[State]) -> Response:
        """Tell one version whole."""
        no_parameters(request.query_params)
        return json(version_view(await self._version(request)))

    async def revert(self, request: Request[State]) -> Response:
        """Make an item what it was at a version, also one that is deleted."""
        no_parameters(request.query_params)
        fields_of(await document_of(request, default={}), "", ())
        expected, then = expected_of(request), await self._version(request)
        kind, key = then.edit.kind, then.edit.key
        decide = decisions.revert(kind, key, then.edit.item, then.version, expected)
        return await changed(request, kind, key, decide)

    async def _version(self, request: Request[State]) -> Change:
        key, version = named(request, self.items.parameter), request.path_params["version"]
        return await request.state["history"].version(self.items.kind, key, version)


async def everything(request: Request[State]) -> Response:
    """Tell all changes of the suite, newest first."""
    asked = Parameters(request.query_params, "before", "limit")
    before, limit = asked.whole("before", most=_MOST), asked.limit()
    found = await request.state["history"].of_all(before=before, limit=limit + 1)
    following = found[limit - 1].revision if len(found) > limit else None
    return json({"history": await _entries(request, found[:limit]), "next": following})


async def _entries(request: Request[State], found: Sequence[Change]) -> list[dict[str, object]]:
    """Return changes with what each made different; most of what was before is on the same page."""
    by_version = {(each.edit.kind, each.edit.key, each.version): each for each in found}
    before_them = []
    for each in found:
        kind, key = each.edit.kind, each.edit.key
        before = by_version.get((kind, key, each.version - 1))
        if before is None and each.version > 1:
            before = await request.state["history"].version(kind, key, each.version - 1)
        before_them.append(None if before is None else before.edit.item)
    return await asyncio.to_thread(lambda: [*map(entry, found, before_them)])


def _routes(items: Items, one: str) -> list[Route]:
    histories = Histories(items)
    return [
        resource(f"{one}/history", get=histories.index),
        resource(f"{one}/history/{{version:int}}", get=histories.show),
        resource(f"{one}/revert/{{version:int}}", post=histories.revert),
    ]


routes = [
    resource(f"{PREFIX}/history", get=everything),
    *_routes(segments.SEGMENTS, segments.ONE),
    *_routes(environments.ENVIRONMENTS, environments.ONE),
    *_routes(flags.FLAGS, flags.ONE),
]
