"""``POST /api/metrics/events``."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metrics_svc.state import State
from metrics_svc.wire.batch import parse_batch
from windsock_kit.body import read_body
from windsock_kit.responses import json


async def append_events(request: Request[State]) -> Response:
    """Store a batch; the answer comes after its commit."""
    state = request.state
    body = await read_body(
        request,
        max_bytes=state["max_body_bytes"],
        max_decompressed_bytes=state["max_decompressed_bytes"],
    )
    batch = parse_batch(body, state["limits"], received=state["clock"]())
    accepted = await state["ingest"].submit_batch(batch.batch_id, batch.events)
    instruments = state["instruments"]
    for rejected in batch.rejected:
        instruments.reject(rejected.path)
    if accepted is None:
        instruments.duplicates.inc()
    return json(
        {
            "accepted": accepted or 0,
            "duplicate": accepted is None,
            "rejected": [
                {"index": r.index, "path": r.path, "detail": r.detail} for r in batch.rejected
            ],
        }
    )


routes = [Route("/api/metrics/events", append_events, methods=["POST"])]
