"""The stream of events, over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from adaptive_questions.app import create_app
from adaptive_questions.domain.result import StreamEvent, WorkloadError
from adaptive_questions.settings import Settings
from tests.adaptive_questions.bodies import GAP, ONE, PREFIX
from tests.adaptive_questions.events import Event, events_in
from tests.adaptive_questions.scripted import ScriptedQuestions
from tests.faults.service import until
from windsock_kit.testing import serving

STREAM = f"{PREFIX}/generate/stream"


@asynccontextmanager
async def client_of(
    questions: ScriptedQuestions, **settings: Any
) -> AsyncGenerator[httpx.AsyncClient]:
    app = create_app(Settings(**settings), questions.opened)
    async with serving(app) as base, httpx.AsyncClient(base_url=base, verify=False) as client:
        yield client


async def stream_of(client: httpx.AsyncClient) -> list[Event]:
    async with client.stream("POST", STREAM, json=ONE) as answer:
        return [event async for event in events_in(answer.aiter_text())]


@pytest.fixture
def waiting() -> ScriptedQuestions:
    """Give questions that tell their steps and then wait."""
    questions = ScriptedQuestions()
    questions.let_go = asyncio.Event()
    return questions


@pytest.mark.usefixtures("unmeasured")
async def test_steps_arrive_numbered_and_end_in_done(questions: ScriptedQuestions) -> None:
    async with client_of(questions) as client:
        whole = (await client.post(f"{PREFIX}/generate", json=ONE)).json()
        events = await stream_of(client)

    assert [event.name for event in events] == ["progress", "delta", "delta", "question", "done"]
    assert [event.number for event in events] == ["1", "2", "3", "4", "5"]
    assert events[0].json() == {"node": "start"}
    assert [event.json()["text"] for event in events[1:3]] == ["Wie würden\nSie ", "\u2028das?"]
    assert events[3].json() == whole
    assert events[4].json()["status"] == "ok"
    assert events[4].json()["duration_ms"] > 0


@pytest.mark.usefixtures("unmeasured")
async def test_failure_is_an_event_too(questions: ScriptedQuestions) -> None:
    questions.failing["Kubernetes"] = WorkloadError("rate_limited", "slowly", 2.5)

    async with client_of(questions) as client:
        events = await stream_of(client)

    assert [event.name for event in events[-2:]] == ["failure", "done"]
    assert events[-2].json() == {
        "gap": GAP | {"description": ""},
        "status": "error",
        "error": {"code": "rate_limited", "detail": "slowly", "retry_after": 2.5},
    }
    assert events[-1].json()["status"] == "error"


@pytest.mark.usefixtures("unmeasured")
async def test_steps_arrive_while_the_work_goes_on(waiting: ScriptedQuestions) -> None:
    assert waiting.let_go is not None
    async with client_of(waiting) as client, client.stream("POST", STREAM, json=ONE) as answer:
        events = events_in(answer.aiter_text())
        early = [await anext(events) for _ in waiting.steps]
        waiting.let_go.set()
        late = [event.name async for event in events]

    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["x-request-id"]
    assert [event.name for event in early] == ["progress", "delta", "delta"]
    assert late == ["question", "done"]


@pytest.mark.usefixtures("unmeasured")
async def test_silence_is_broken_by_a_heartbeat(waiting: ScriptedQuestions) -> None:
    assert waiting.let_go is not None
    waiting.steps = ()
    async with (
        client_of(waiting, heartbeat_seconds=0.05) as client,
        client.stream("POST", STREAM, json=ONE) as answer,
    ):
        events = events_in(answer.aiter_text())
        silence = [await anext(events), await anext(events)]
        waiting.let_go.set()
        names = [event.name async for event in events if not event.comment]

    assert [(event.comment, event.name) for event in silence] == [("heartbeat", "")] * 2
    assert names == ["question", "done"]


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("steps", [0, 3], ids=["before a step", "after some"])
async def test_work_stops_when_the_client_leaves(waiting: ScriptedQuestions, steps: int) -> None:
    waiting.steps = waiting.steps[:steps]
    async with client_of(waiting) as client:
        async with client.stream("POST", STREAM, json=ONE) as answer:
            await waiting.begun.wait()
            assert answer.status_code == 200

        async with asyncio.timeout(10):
            await waiting.stopped.wait()

        async def is_free() -> bool:
            return "questions_requests_at_work 0.0" in (await client.get("/metrics")).text

        await until(is_free, "the place of the stream is free")


@pytest.mark.usefixtures("unmeasured")
async def test_stream_that_takes_too_long_fails_and_stops(waiting: ScriptedQuestions) -> None:
    async with client_of(waiting, request_timeout_seconds=0.1) as client:
        events = await stream_of(client)

    assert [event.name for event in events[-2:]] == ["failure", "done"]
    assert events[-2].json()["error"] == {
        "code": "deadline_exceeded",
        "detail": "not answered within 0.1 s",
        "retry_after": None,
    }
    assert waiting.stopped.is_set()


@pytest.mark.usefixtures("unmeasured")
async def test_client_that_reads_nothing_loses_its_place(questions: ScriptedQuestions) -> None:
    """More than any socket holds is written, and nobody reads it."""
    questions.steps = [StreamEvent("delta", {"text": "x" * 2**20})] * 64
    async with (
        client_of(questions, request_timeout_seconds=0.5) as client,
        client.stream("POST", STREAM, json=ONE) as answer,
    ):
        assert answer.status_code == 200
        async with asyncio.timeout(10):
            await questions.stopped.wait()


@pytest.mark.usefixtures("unmeasured")
async def test_bad_body_is_a_problem_and_no_stream(questions: ScriptedQuestions) -> None:
    async with client_of(questions) as client:
        answer = await client.post(STREAM, json=ONE | {"gap": GAP | {"priority": "low"}})

    assert (answer.status_code, answer.json()["path"]) == (422, "gap.priority")
    assert questions.asked == []
