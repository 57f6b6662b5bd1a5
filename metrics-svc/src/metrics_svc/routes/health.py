"""``GET /api/metrics/health``: what the service depends on, and how it is itself. It answers without the store too."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import asyncpg
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metrics_svc.domain.health import STORE, ProbeResult, overall
from metrics_svc.domain.kind import PROBE
from metrics_svc.domain.window import Window
from metrics_svc.engine import Ask
from metrics_svc.state import State
from metrics_svc.store import edition
from metrics_svc.store.edition import Server
from metrics_svc.wire import answers
from metrics_svc.wire import health as wire
from metrics_svc.wire.parameters import WindowRequest, window_request
from windsock_kit.errors import UnavailableError
from windsock_kit.postgres import unavailable
from windsock_kit.responses import json

# A store that hangs must not make this endpoint hang.
_STORE_SECONDS = 2.0


async def health(request: Request[State]) -> Response:
    """Answer the state of every target, of the store and of the ingest; 200 whatever it is."""
    state = request.state
    asked = window_request(request.query_params)
    now = state["clock"]()
    window = asked.window(now, state["kept"])
    try:
        server, checks = await _from_store(state, asked, window)
    except (UnavailableError, asyncpg.PostgresError):
        server, checks = None, None
    results = state["probes"].latest()
    if server is None:
        results = [_without_store(result) for result in results]
    ingest = state["ingest"]
    lag = ingest.lag_seconds()
    return json(
        {
            **answers.head(asked, window, now, state["engine"].notes()),
            "status": overall(results, store_up=server is not None, lag_seconds=lag),
            "components": wire.components(results, checks),
            "store": wire.store(server),
            "ingest": wire.ingest(ingest.queued, lag, ingest.last_commit),
        }
    )


async def _from_store(
    state: State, asked: WindowRequest, window: Window
) -> tuple[Server, Mapping[str, wire.Checks]]:
    """Return what the store is, and how many checks of each target were made and were good."""
    whole = Window(window.start, window.end)
    with unavailable("the store does not answer"):
        async with asyncio.timeout(_STORE_SECONDS):
            server = await edition.detect(state["pool"])
            (found,) = await state["engine"].ask(whole, [Ask(PROBE, ("target",), asked.filter())])
    counts, good = found.counter("count").tolist(), found.counter("up").tolist()
    targets = [str(target) for (target,) in found.groups]
    return server, dict(zip(targets, zip(counts, good, strict=True), strict=True))


def _without_store(result: ProbeResult) -> ProbeResult:
    # This request knows better than a check of some seconds ago.
    if result.target != STORE or result.status == "down":
        return result
    return replace(result, status="down", latency_ms=None, detail="the store does not answer")


routes = [Route("/api/metrics/health", health)]
