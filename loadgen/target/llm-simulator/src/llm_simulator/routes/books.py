"""The simulator's own endpoints: ledger, faults, parameters."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from llm_simulator.domain.fault import NONE
from llm_simulator.provider import Provider
from llm_simulator.state import State
from llm_simulator.wire import books as wire
from windsock_kit.body import read_body
from windsock_kit.responses import json

log = structlog.get_logger(__name__)

_MAX_FAULTS_BYTES = 10_000


async def ledger(request: Request[State]) -> Response:
    """Tell the books; DELETE closes them, tells them a last time and begins new ones."""
    provider = request.state["provider"]
    book = provider.ledger
    if request.method == "DELETE":
        book = provider.new_ledger()
        log.info("ledger_closed", calls=book.total().calls, cost_nanos=book.total().cost_nanos)
    return json(wire.ledger(book, _parameters(provider)))


async def faults(request: Request[State]) -> Response:
    """Tell, set or end the faults; each answers those that are in force then."""
    provider = request.state["provider"]
    if request.method == "PUT":
        body = await read_body(
            request, max_bytes=_MAX_FAULTS_BYTES, max_decompressed_bytes=_MAX_FAULTS_BYTES
        )
        wanted, for_seconds = wire.parse_faults(body)
        provider.switch.set(wanted, provider.clock(), for_seconds)
        log.info("faults_set", for_seconds=for_seconds, **asdict(wanted))
    elif request.method == "DELETE":
        provider.switch.set(NONE, provider.clock())
        log.info("faults_ended")
    return json(_faults(provider))


async def parameters(request: Request[State]) -> Response:
    """Tell everything that decides what the simulator answers."""
    return json(_parameters(request.state["provider"]))


def _faults(provider: Provider) -> dict[str, Any]:
    now = provider.clock()
    return wire.faults(provider.switch.current(now), provider.switch.remaining_seconds(now))


def _parameters(provider: Provider) -> dict[str, Any]:
    return wire.parameters(asdict(provider.terms), _faults(provider))


routes = [
    Route("/ledger", ledger, methods=["GET", "DELETE"]),
    Route("/faults", faults, methods=["GET", "PUT", "DELETE"]),
    Route("/parameters", parameters),
]
