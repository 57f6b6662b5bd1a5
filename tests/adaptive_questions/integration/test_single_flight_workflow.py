from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest_asyncio
from starlette.responses import Response

from adaptive_questions.domain.gap import Gap, Priority
from adaptive_questions.domain.result import GapFailure
from tests.adaptive_questions.core_fixtures import (
    KUBERNETES,
    Call,
    Workload,
    refusal,
    refusing,
    workload,
)

SKILLS = ["Kubernetes", "Redis", "Kafka", "React", "Rust", "SQL", "AWS", "Scala", "Java", "PHP"]
BATCH = [Gap(skill, list(Priority)[n % 4]) for n, skill in enumerate(SKILLS)]


@pytest_asyncio.fixture(scope="module")
async def opened_once() -> AsyncGenerator[Workload]:
    async with workload() as it:
        yield it


@pytest_asyncio.fixture
async def it(opened_once: Workload) -> Workload:
    await opened_once.begin()
    return opened_once


async def test_fifty_equal_batches_at_once_cost_as_much_as_one(it: Workload) -> None:
    batches = await asyncio.gather(*(it.answers(*BATCH) for _ in range(50)))
    ledger = await it.simulator.ledger()

    questions = [[answer.question for answer in batch] for batch in batches]
    assert questions == [questions[0]] * 50
    served = [answer.served for batch in batches for answer in batch]
    assert served.count("new") == 10
    assert set(served) <= {"new", "shared", "l1"}
    assert ledger["duplicate_calls"] == 0
    assert ledger["calls"] == ledger["unique_keys"]
    generated = [call for call in it.simulator.gate.calls if "similar_questions" in call.task]
    assert len(generated) == 4


async def test_batches_that_overlap_make_what_they_share_once(it: Workload) -> None:
    halves = [BATCH[:7], BATCH[3:], BATCH[5:], BATCH]

    await asyncio.gather(*(it.answers(*half) for half in halves))
    ledger = await it.simulator.ledger()

    written = [
        gap["skill"]
        for call in it.simulator.gate.calls
        if "similar_questions" in call.task
        for gap in call.task["gaps"]
    ]
    assert sorted(written) == sorted(SKILLS)
    assert ledger["duplicate_calls"] == 0


async def test_the_others_get_their_answers_when_the_first_asker_leaves(it: Workload) -> None:
    writing, go_on = asyncio.Event(), asyncio.Event()

    async def before(call: Call) -> None:
        if call.task.get("task") == "generate_questions":
            writing.set()
            await go_on.wait()

    async with asyncio.timeout(10):
        shared = it.questions.cache_stats()["questions"].shared
        it.simulator.gate.before = before
        first = asyncio.create_task(it.answers(KUBERNETES))
        await writing.wait()
        second = asyncio.create_task(it.answers(KUBERNETES))
        while it.questions.cache_stats()["questions"].shared == shared:  # noqa: ASYNC110
            await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        go_on.set()
        [answer] = await second

    assert first.cancelled()
    assert answer.served == "shared"
    assert (await it.simulator.ledger())["duplicate_calls"] == 0


async def test_a_failing_provider_fails_all_who_wait_and_is_asked_again_later(
    it: Workload,
) -> None:
    def refuses(call: Call) -> Response | None:
        return refusal(500) if call.task else None

    with refusing(it.simulator, refuses):
        results = await asyncio.gather(*(it.results(KUBERNETES) for _ in range(20)))
        refused = [call for call in it.simulator.gate.calls if call.task]
    [answer] = await it.answers(KUBERNETES)

    assert {type(result) for [result] in results} == {GapFailure}
    assert len(refused) == 1
    assert answer.served == "new"
