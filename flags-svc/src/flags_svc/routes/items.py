"""What flags, segments and environments have in common: read one, make one, change it, remove it."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from flags_svc.domain import decisions
from flags_svc.domain.deciding import name_of, part_of
from flags_svc.domain.documents import item_of, view
from flags_svc.domain.flag import ManagedFlag
from flags_svc.domain.schedule import schedule_warnings
from flags_svc.domain.world import Item, ItemKind
from flags_svc.routes.asking import document_of, expected_of
from flags_svc.routes.changing import Warn, changed, held, shown
from flags_svc.state import State
from windsock_kit.parameters import no_parameters
from windsock_kit.preconditions import at_hand, etag
from windsock_kit.resources import named
from windsock_kit.responses import json


@dataclass(frozen=True, slots=True)
class Items:
    """The handlers of one kind; ``parameter`` is what an address calls the key of one, ``plural`` what several are called."""

    kind: ItemKind
    parameter: str
    plural: str

    async def index(self, request: Request[State]) -> Response:
        """List all of them by key."""
        no_parameters(request.query_params)
        part = part_of(request.state["live"].world, self.kind)
        return json({self.plural: [view(part[key]) for key in sorted(part)]})

    async def create(self, request: Request[State]) -> Response:
        """Make one."""
        no_parameters(request.query_params)
        item = item_of(self.kind, await document_of(request))
        key = name_of(item)
        return await changed(request, self.kind, key, decisions.create(item), warn=_late(request))

    async def show(self, request: Request[State]) -> Response:
        """Tell one."""
        no_parameters(request.query_params)
        return shown(request, held(request, self.kind, named(request, self.parameter)))

    async def replace(self, request: Request[State]) -> Response:
        """Put one in place of that of its key, or make it."""
        no_parameters(request.query_params)
        key, expected = named(request, self.parameter), expected_of(request)
        unwanted = request.headers.get("if-none-match")
        item = item_of(self.kind, await document_of(request), key=key)
        decide = decisions.put(
            item,
            expected,
            must_be_there="if-match" in request.headers,
            unwanted=lambda version: at_hand(unwanted, etag(version)["ETag"]),
        )
        return await changed(request, self.kind, key, decide, warn=_late(request))

    async def patch(self, request: Request[State]) -> Response:
        """Change what the body names."""
        no_parameters(request.query_params)
        key, expected = named(request, self.parameter), expected_of(request)
        decide = decisions.patch(self.kind, key, await document_of(request), expected)
        return await changed(request, self.kind, key, decide, warn=_late(request))

    async def delete(self, request: Request[State]) -> Response:
        """Remove one that nothing goes by."""
        no_parameters(request.query_params)
        key, expected = named(request, self.parameter), expected_of(request)
        return await changed(request, self.kind, key, decisions.delete(self.kind, key, expected))


def _late(request: Request[State]) -> Warn:
    now = request.state["clock"]().timestamp()

    def warn(item: Item) -> list[str]:
        if not isinstance(item, ManagedFlag):
            return []
        return [
            warning
            for environment in item.environments
            for warning in schedule_warnings(item, environment, now)
        ]

    return warn
