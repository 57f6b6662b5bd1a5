"""``POST …/generate/stream``: one gap's question as server-sent events, step by step."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import count
from time import perf_counter

import msgspec
from sse_starlette.event import ServerSentEvent
from sse_starlette.sse import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adaptive_questions.bounds import deadline, late
from adaptive_questions.domain.gap import Gap
from adaptive_questions.domain.result import GapFailure, StreamEvent
from adaptive_questions.routes.questions import PREFIX, body_of, bounded
from adaptive_questions.state import State
from adaptive_questions.wire import answers
from adaptive_questions.wire.requests import parse_generate
from windsock.integrations.asgi import mark_failed
from windsock_kit.serve import GRACEFUL_SECONDS

# A server that stops lets streams end by themselves, until just before it would cut them.
_GRACE_SECONDS = GRACEFUL_SECONDS - 1


async def generate_stream(request: Request[State]) -> Response:
    """Answer each step of making a question as it happens, until the client leaves."""
    state = request.state
    seconds = state["request_timeout_seconds"]
    async with deadline(seconds):
        given = parse_generate(await body_of(request))
    gap = given.gap.value()
    run = state["questions"].stream(gap, given.brief(), given.asker(request.headers))
    steps = _marked(_timely(run, gap, seconds), request)
    return EventSourceResponse(
        _events(steps),
        ping=state["heartbeat_seconds"],
        ping_message_factory=lambda: ServerSentEvent(comment="heartbeat"),
        # A client that reads nothing would else keep its place for ever.
        send_timeout=seconds,
        shutdown_grace_period=_GRACE_SECONDS,
    )


async def _timely(
    run: AsyncGenerator[StreamEvent], gap: Gap, seconds: float
) -> AsyncGenerator[StreamEvent]:
    """Yield what ``run`` tells; where that is not all after ``seconds``, stop it and say so."""
    due = asyncio.get_running_loop().time() + seconds
    async with aclosing(run):
        while True:
            # Around each step and not around all of them: between them others' code runs.
            timeout = asyncio.timeout_at(due)
            try:
                async with timeout:
                    event = await anext(run)
            except StopAsyncIteration:
                return
            except TimeoutError:
                if not timeout.expired():
                    raise
                error = late(seconds)
                failure = GapFailure(gap, error.code, error.detail)
                yield StreamEvent("failure", {"failure": failure})
                return
            yield event


async def _marked(
    steps: AsyncGenerator[StreamEvent], request: Request[State]
) -> AsyncGenerator[StreamEvent]:
    """Yield ``steps``, and let the request count as an error if one of them tells a failure."""
    async with aclosing(steps):
        async for step in steps:
            failure = step.data.get("failure")
            if isinstance(failure, GapFailure):
                mark_failed(request.scope, failure.code, failure.detail)
            yield step


async def _events(steps: AsyncGenerator[StreamEvent]) -> AsyncGenerator[ServerSentEvent]:
    """Write the steps with their numbers; the last event tells the end from a broken connection."""
    started = perf_counter()
    numbers = count(1)
    ok = False
    async with aclosing(steps):
        async for step in steps:
            ok = step.name == "question"
            yield _event(next(numbers), step.name, answers.told(step))
    last = answers.done(ok=ok, duration_ms=1000 * (perf_counter() - started))
    yield _event(next(numbers), "done", last)


def _event(number: int, name: str, data: answers.Answer) -> ServerSentEvent:
    return ServerSentEvent(msgspec.json.encode(data).decode(), event=name, id=str(number))


routes = [Route(f"{PREFIX}/generate/stream", generate_stream, methods=["POST"], middleware=bounded)]
