"""``/api/feature-flags/stale``: flags that could go, with the reasons."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from flags_svc.domain.flag import Kind, ManagedFlag
from flags_svc.domain.staleness import DAY, DEFAULT_DAYS, Reason, Verdict, stale
from flags_svc.domain.times import instant
from flags_svc.domain.world import Stored
from flags_svc.routes.changing import PREFIX
from flags_svc.state import State
from windsock_kit.parameters import Parameters
from windsock_kit.resources import resource
from windsock_kit.responses import json

# For how long evaluations are counted.
MAX_DAYS = 90


async def index(request: Request[State]) -> Response:
    """Tell which flags could go, and why."""
    asked = Parameters(request.query_params, "days", "reason", "kind", "owner")
    days = asked.whole("days", most=MAX_DAYS) or DEFAULT_DAYS
    reason, kind, owner = (
        asked.one_of("reason", Reason),
        asked.one_of("kind", Kind),
        asked.text("owner"),
    )
    at, flags = request.state["clock"]().timestamp(), request.state["live"].world.flags
    usage = await request.state["usage"].since(at - days * DAY)
    judged = await asyncio.to_thread(stale, flags.values(), usage, at=at, days=days)
    found = [
        verdict
        for verdict in judged
        if (reason is None or reason in verdict.reasons)
        and kind in {None, flags[verdict.key].item.kind}
        and owner in {None, flags[verdict.key].item.owner}
    ]
    told = [_view(flags[verdict.key], verdict) for verdict in found]
    return json({"flags": told, "days": days, "total": len(told)})


def _view(stored: Stored[ManagedFlag], verdict: Verdict) -> dict[str, object]:
    last = verdict.last_evaluated_at
    return {
        "key": verdict.key,
        "kind": stored.item.kind.value,
        "owner": stored.item.owner,
        "tags": list(stored.item.tags),
        "lifetime_days": stored.item.lifetime_days,
        "created_at": instant(stored.created_at),
        "updated_at": instant(stored.updated_at),
        "last_evaluated_at": None if last is None else instant(last),
        "reasons": [
            {"reason": reason.value, "detail": detail} for reason, detail in verdict.reasons.items()
        ],
    }


routes = [resource(f"{PREFIX}/stale", get=index)]
