"""The four questions that are answered whole."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adaptive_questions.bounds import TakesPlace, deadline
from adaptive_questions.domain.result import GapAnswer, GapFailure, WorkloadError
from adaptive_questions.state import State
from adaptive_questions.wire import answers, problems
from adaptive_questions.wire import requests as wire
from adaptive_questions.wire.reading import MAX_BODY_BYTES
from windsock_kit.body import read_body
from windsock_kit.errors import render
from windsock_kit.responses import json


async def batch_generate(request: Request[State]) -> Response:
    """Answer a question for each gap; a problem only where there is none for any."""
    started = perf_counter()
    state = request.state
    async with deadline(state["request_timeout_seconds"]):
        given = wire.parse_batch(await body_of(request))
        gaps = [gap.value() for gap in given.gaps]
        results = await state["questions"].generate(
            gaps, given.brief(), given.asker(request.headers)
        )
    failures = [result for result in results if isinstance(result, GapFailure)]
    if len(failures) == len(results):
        raise problems.of_failures(failures)
    return json(answers.batch(results, 1000 * (perf_counter() - started)))


async def generate(request: Request[State]) -> Response:
    """Answer the question for one gap."""
    state = request.state
    async with deadline(state["request_timeout_seconds"]):
        given = wire.parse_generate(await body_of(request))
        (result,) = await state["questions"].generate(
            [given.gap.value()], given.brief(), given.asker(request.headers)
        )
    if isinstance(result, GapAnswer):
        return json(answers.generated(result))
    raise problems.of_failure(result)


async def refine(request: Request[State]) -> Response:
    """Answer a better question than the one given."""
    state = request.state
    async with deadline(state["request_timeout_seconds"]):
        given = wire.parse_refine(await body_of(request))
        gap = given.gap.value()
        better = await state["questions"].refine(
            gap, given.question, given.feedback, given.brief(), given.asker(request.headers)
        )
    return json(answers.refined(gap, better))


async def evaluate(request: Request[State]) -> Response:
    """Answer what a question, or the answer to it, is worth."""
    state = request.state
    async with deadline(state["request_timeout_seconds"]):
        given = wire.parse_evaluate(await body_of(request))
        gap = given.gap.value()
        judged = await state["questions"].evaluate(
            gap, given.question, given.answer, given.brief(), given.asker(request.headers)
        )
    return json(answers.evaluated(gap, judged))


async def workload_error(_: Request[Any], error: Exception) -> Response:
    """Answer what the provider did wrong."""
    assert isinstance(error, WorkloadError)
    return render(problems.of_failure(error))


async def body_of(request: Request[State]) -> bytes:
    """Read the body within its bounds."""
    return await read_body(request, max_bytes=MAX_BODY_BYTES, max_decompressed_bytes=MAX_BODY_BYTES)


PREFIX = "/api/adaptive-questions"
bounded = [Middleware(TakesPlace)]

routes = [
    Route(f"{PREFIX}/batch-generate", batch_generate, methods=["POST"], middleware=bounded),
    Route(f"{PREFIX}/generate", generate, methods=["POST"], middleware=bounded),
    Route(f"{PREFIX}/refine", refine, methods=["POST"], middleware=bounded),
    Route(f"{PREFIX}/evaluate", evaluate, methods=["POST"], middleware=bounded),
]
