from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import msgspec
import pytest
import pytest_asyncio
from starlette.responses import Response

from adaptive_questions.domain.gap import Gap, Priority
from adaptive_questions.domain.result import GapAnswer, GapFailure, StreamEvent
from tests.adaptive_questions.core_fixtures import (
    ASKER,
    KUBERNETES,
    Call,
    Workload,
    refusal,
    refusing,
    workload,
)

REQUEST = ["start", "parse_gap", "batch_generate"]
# Side by side, the two searches start in either order.
SEARCHES = {"search_similar_questions", "search_learning_resources_node_async"}


@pytest_asyncio.fixture(scope="module")
async def opened_once() -> AsyncGenerator[Workload]:
    async with workload() as it:
        yield it


@pytest_asyncio.fixture
async def it(opened_once: Workload) -> Workload:
    await opened_once.begin()
    return opened_once


async def test_a_stream_tells_each_node_the_answers_pieces_and_the_question(it: Workload) -> None:
    events = [event async for event in it.questions.stream(KUBERNETES, it.brief, ASKER)]

    nodes = [event.data["node"] for event in events if event.name == "progress"]
    assert nodes[:4] == [*REQUEST, "embed_gap"]
    assert set(nodes[4:6]) == SEARCHES
    assert nodes[6:9] == [
        "generate_deep_dive_prompts_node_async",
        "generate_question",
        "evaluate_quality_node_async",
    ]
    assert nodes[-1] == "finalize"
    pieces = "".join(str(event.data["text"]) for event in events if event.name == "delta")
    [asked] = [call for call in it.simulator.gate.calls if call.body.get("stream")]
    assert asked.task["task"] == "generate_questions"
    assert [event.name for event in events].index("delta") > nodes.index("generate_question")
    answer = events[-1].data["answer"]
    assert events[-1].name == "question"
    assert isinstance(answer, GapAnswer)
    # A refinement would hold what was written first.
    assert msgspec.json.decode(pieces)["questions"][0]["question"] in answer.question.text


async def test_an_answer_from_a_cache_is_streamed_too(it: Workload) -> None:
    await it.answers(KUBERNETES)

    events = [event async for event in it.questions.stream(KUBERNETES, it.brief, ASKER)]

    assert events[:-1] == [
        StreamEvent("progress", {"node": node}) for node in [*REQUEST, "finalize"]
    ]
    answer = events[-1].data["answer"]
    assert isinstance(answer, GapAnswer)
    assert answer.served == "l1"


async def test_a_stream_of_a_gap_that_fails_ends_with_the_failure(it: Workload) -> None:
    def refuses(call: Call) -> Response | None:
        return refusal(500) if call.task.get("task") == "generate_questions" else None

    with refusing(it.simulator, refuses):
        events = [event async for event in it.questions.stream(KUBERNETES, it.brief, ASKER)]

    assert events[-2] == StreamEvent("progress", {"node": "finalize"})
    assert events[-1].name == "failure"
    failure = events[-1].data["failure"]
    assert isinstance(failure, GapFailure)
    assert failure.code == "provider_error"


@pytest.mark.parametrize(
    "chunk",
    ["5", "[]", '{"choices": [null]}', '{"choices": [{"index": 0, "delta": {"content": 5}}]}'],
)
async def test_a_stream_of_something_else_fails_when_it_comes_again(
    it: Workload, chunk: str
) -> None:
    def wrong(call: Call) -> Response | None:
        is_writing = call.task.get("task") == "generate_questions"
        return (
            Response(f"data: {chunk}\n\n", media_type="text/event-stream") if is_writing else None
        )

    with refusing(it.simulator, wrong):
        events = [event async for event in it.questions.stream(KUBERNETES, it.brief, ASKER)]

    failure = events[-1].data["failure"]
    assert isinstance(failure, GapFailure)
    assert failure.code == "bad_answer"


async def test_a_stream_that_the_provider_cuts_fails_when_it_is_cut_again(it: Workload) -> None:
    await it.simulator.faults(cut_stream_rate=1.0)
    try:
        events = [event async for event in it.questions.stream(KUBERNETES, it.brief, ASKER)]
    finally:
        await it.simulator.faults()

    failure = events[-1].data["failure"]
    assert isinstance(failure, GapFailure)
    assert failure.code in ("provider_unreachable", "bad_answer")


async def test_a_run_goes_on_when_the_reader_of_its_stream_leaves(it: Workload) -> None:
    stream = it.questions.stream(KUBERNETES, it.brief, ASKER)
    async for event in stream:
        if event.name == "delta":
            break

    await stream.aclose()
    async with asyncio.timeout(10):
        [answer] = await it.answers(KUBERNETES)

    assert answer.served in ("shared", "l1")
    assert len([call for call in it.simulator.gate.calls if call.body.get("stream")]) == 1


async def test_a_stream_that_is_closed_leaves_nothing_behind_but_the_run(it: Workload) -> None:
    go_on = asyncio.Event()

    async def wait(_: Call) -> None:
        await go_on.wait()

    it.simulator.gate.before = wait
    stream = it.questions.stream(KUBERNETES, it.brief, ASKER)
    await anext(stream)
    telling = [task for task in asyncio.all_tasks() if "_generate" in repr(task.get_coro())]

    await stream.aclose()

    assert [task.done() for task in telling] == [True]
    go_on.set()
    [answer] = await it.answers(KUBERNETES)
    assert answer.served in ("shared", "new")


async def test_one_who_asks_meanwhile_gets_the_streamed_answer(it: Workload) -> None:
    gap = Gap("Redis", Priority.LOW)
    stream = it.questions.stream(gap, it.brief, ASKER)
    async for event in stream:
        if event.data == {"node": "embed_gap"}:
            break

    [shared], rest = await asyncio.gather(it.answers(gap), _rest(stream))

    streamed = rest[-1].data["answer"]
    assert isinstance(streamed, GapAnswer)
    assert (shared.question, shared.served) == (streamed.question, "shared")


async def _rest(stream: AsyncGenerator[StreamEvent]) -> list[StreamEvent]:
    return [event async for event in stream]
