from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

import msgspec
import pytest
import pytest_asyncio
from starlette.responses import Response

from adaptive_questions.domain.gap import Asker, Gap, Language, Priority
from adaptive_questions.domain.result import (
    BadAnswerError,
    GapAnswer,
    GapFailure,
    ProviderError,
)
from tests.adaptive_questions.core_fixtures import (
    ASKER,
    KUBERNETES,
    Call,
    Workload,
    refusal,
    refusing,
    workload,
)
from windsock_embedded import ports

MIXED = [
    Gap("Kubernetes", Priority.LOW),
    Gap("Redis", Priority.CRITICAL, "never ran it in production"),
    Gap("React", Priority.LOW),
    Gap("Kafka", Priority.HIGH),
]


@pytest_asyncio.fixture(scope="module")
async def opened_once() -> AsyncGenerator[Workload]:
    async with workload() as it:
        yield it


@pytest_asyncio.fixture
async def it(opened_once: Workload) -> Workload:
    """Give the module's workload, begun anew."""
    await opened_once.begin()
    return opened_once


async def test_each_gap_gets_its_question_in_the_order_of_the_gaps(it: Workload) -> None:
    results = await it.answers(*MIXED)

    assert [each.gap for each in results] == MIXED
    for each in results:
        assert each.gap.skill in each.question.text
        assert each.question.expected_points
        assert each.evaluation.threshold in (7.5, 7.0, 5.5)
        assert set(each.evaluation.criteria) == {"relevance", "clarity", "depth"}
        assert len(each.deep_dive_prompts) == 3
        assert each.model == "gemini-2.0-flash-exp"
        assert each.served == "new"
        assert each.cards is None


async def test_a_question_has_the_context_that_the_searches_found(it: Workload) -> None:
    [result] = await it.answers(KUBERNETES)
    [task] = [call.task for call in it.simulator.gate.calls if "similar_questions" in call.task]

    assert any("Deployment" in text for text in result.similar_questions)
    assert "Kubernetes documentation: Concepts" in [each.title for each in result.resources]
    assert all(each.similarity >= 0.7 for each in result.resources)
    assert task["similar_questions"] == list(result.similar_questions)
    assert task["resources"] == [each.title for each in result.resources]
    assert task["deep_dive_prompts"] == [{"id": "g1", "prompts": list(result.deep_dive_prompts)}]


async def test_one_gap_that_is_asked_for_twice_is_made_once(it: Workload) -> None:
    results = await it.answers(KUBERNETES, Gap(" kubernetes", Priority.HIGH))
    ledger = await it.simulator.ledger()

    assert results[0].question == results[1].question
    assert [each.gap.skill for each in results] == ["Kubernetes", " kubernetes"]
    assert ledger["duplicate_calls"] == 0
    assert len([call for call in it.simulator.gate.calls if "similar_questions" in call.task]) == 1


async def test_questions_come_in_the_language_that_was_asked_for(it: Workload) -> None:
    german = replace(it.brief, language=Language.GERMAN)
    await it.questions.generate([KUBERNETES], german, ASKER)

    tasks = [call.task for call in it.simulator.gate.calls if call.task]
    assert {task["language"] for task in tasks} == {"german"}


async def test_a_group_that_fails_fails_only_its_own_gaps(it: Workload) -> None:
    def refuses(call: Call) -> Response | None:
        gaps = call.task.get("gaps", [])
        return refusal(500, "out of luck") if any(g["skill"] == "Kafka" for g in gaps) else None

    with refusing(it.simulator, refuses):
        results = await it.results(*MIXED)
    again = await it.answers(*MIXED)

    failed = results[3]
    assert [type(each) for each in results] == [GapAnswer, GapAnswer, GapAnswer, GapFailure]
    assert isinstance(failed, GapFailure)
    assert failed == GapFailure(
        MIXED[3], "provider_error", "the provider answered 500: out of luck"
    )
    assert [each.served for each in again] == ["l1", "l1", "l1", "new"]


@pytest.mark.parametrize(
    ("answer", "code", "retry_after"),
    [
        (refusal(429, retry_after="200"), "rate_limited", 200.0),
        (refusal(503, retry_after="7"), "provider_unreachable", 7.0),
        (refusal(500), "provider_error", None),
        (refusal(401, "key sk-123 is wrong"), "provider_error", None),
        (Response(b"<html>", media_type="text/html"), "bad_answer", None),
        (Response(b'{"choices": ', media_type="application/json"), "bad_answer", None),
        *(
            (Response(body, media_type="application/json"), "bad_answer", None)
            for body in (
                b"[]",
                b'{"choices": []}',
                b'{"choices": [null]}',
                b'{"choices": [{"index": 0, "message": null}]}',
                b'{"choices": [{"index": 0, "message": {"content": [1]}}]}',
            )
        ),
    ],
    ids=[
        "429",
        "503",
        "500",
        "401",
        "no JSON",
        "half of a JSON",
        "no object",
        "no choice",
        "null for a choice",
        "null for a message",
        "numbers for a text",
    ],
)
async def test_what_the_provider_does_wrong_has_a_name(
    it: Workload, answer: Response, code: str, retry_after: float | None
) -> None:
    with refusing(it.simulator, lambda call: answer if call.task else None):
        [result] = await it.results(KUBERNETES)

    assert isinstance(result, GapFailure)
    assert (result.code, result.retry_after) == (code, retry_after)
    assert "sk-123" not in result.detail


@pytest.mark.parametrize(
    "data",
    [b"null", b"[]", b'[{"index": 0}]', b'[{"index": 0, "embedding": ["a"]}]'],
    ids=bytes.decode,
)
async def test_embeddings_that_are_none_are_a_bad_answer(it: Workload, data: bytes) -> None:
    wrong = Response(b'{"data": %b}' % data, media_type="application/json")

    with refusing(it.simulator, lambda call: None if call.task else wrong):
        [result] = await it.results(Gap("Ceph", Priority.HIGH))

    assert isinstance(result, GapFailure)
    assert result.code == "bad_answer"


async def test_vectors_of_another_size_find_nothing(it: Workload) -> None:
    body = b'{"data": [{"index": 0, "embedding": [0.6, 0.8]}]}'
    short = Response(body, media_type="application/json")

    with refusing(it.simulator, lambda call: None if call.task else short):
        [answer] = await it.answers(Gap("Nomad", Priority.HIGH))

    assert (answer.similar_questions, answer.resources) == ((), ())


async def test_a_provider_that_takes_too_long_is_a_timeout() -> None:
    over = asyncio.Event()

    async def before(call: Call) -> Response | None:
        await over.wait() if call.task else None
        return None

    async with workload(request_timeout_seconds=1.0) as it:
        it.simulator.gate.before = before
        [result] = await it.results(KUBERNETES)
        over.set()

    assert isinstance(result, GapFailure)
    assert result.code == "provider_timeout"


async def test_a_limit_that_outlasts_the_time_of_a_call_is_told_as_a_limit() -> None:
    def limited(call: Call) -> Response | None:
        answer = refusal(429, retry_after="30", x_should_retry="true")
        return answer if call.task else None

    async with workload(request_timeout_seconds=1.0) as it:
        with refusing(it.simulator, limited):
            [result] = await it.results(KUBERNETES)

    assert isinstance(result, GapFailure)
    assert (result.code, result.retry_after) == ("rate_limited", 30.0)


async def test_a_proxy_is_not_asked_for_what_is_on_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{ports.free_port()}")

    async with workload() as it:
        [answer] = await it.answers(KUBERNETES)

    assert answer.served == "new"


async def test_a_bad_answer_is_asked_for_once_more(it: Workload) -> None:
    wrong = [Response(_completion('{"prompts": [{"id": "g1"}]}'), media_type="application/json")]

    def once(call: Call) -> Response | None:
        return wrong.pop() if wrong and call.task.get("task") == "deep_dive_prompts" else None

    with refusing(it.simulator, once):
        await it.answers(KUBERNETES)

    asked = [call.body for call in it.simulator.gate.calls if "prompts" in str(call.task)]
    assert asked[0] == asked[1]


async def test_an_answer_that_stays_bad_is_told(it: Workload) -> None:
    bad = Response(_completion('{"questions": []}'), media_type="application/json")
    with refusing(it.simulator, lambda _: bad), pytest.raises(BadAnswerError, match="each id"):
        await it.questions.refine(KUBERNETES, "What is it?", "Too flat.", it.brief, ASKER)

    assert len(it.simulator.gate.calls) == 2


async def test_no_more_model_calls_run_at_once_than_allowed() -> None:
    async with workload({"use_batch_generation": True}, max_model_calls=2) as it:

        async def before(_: Call) -> None:
            await asyncio.sleep(0.01)

        it.simulator.gate.before = before
        await it.answers(*MIXED)

    assert max(it.simulator.gate.most_at_once.values()) == 2


async def test_a_question_of_somebodys_own_is_refined(it: Workload) -> None:
    refined = await it.questions.refine(
        KUBERNETES, "What is Kubernetes?", "Ask for a situation.", it.brief, ASKER
    )

    [task] = [call.task for call in it.simulator.gate.calls if "refine" in str(call.task)]
    assert task["items"][0]["feedback"] == "Ask for a situation."
    assert "What is Kubernetes?" in refined.question.text
    assert refined.question.text != "What is Kubernetes?"
    assert refined.evaluation.threshold == 7.0
    assert refined.model == "gemini-2.0-flash-exp"


async def test_a_candidates_answer_is_judged(it: Workload) -> None:
    short = await it.questions.evaluate(KUBERNETES, "What is it?", "No idea.", it.brief, ASKER)
    bare = await it.questions.evaluate(KUBERNETES, "What is it?", None, it.brief, ASKER)

    judged = [call.task["items"][0]["answer"] for call in it.simulator.gate.calls]
    assert judged == ["No idea.", None]
    assert short.score != bare.score
    assert short.feedback


async def test_somebodys_own_question_fails_with_the_providers_error(it: Workload) -> None:
    with refusing(it.simulator, lambda _: refusal(500)), pytest.raises(ProviderError):
        await it.questions.evaluate(KUBERNETES, "What is it?", None, it.brief, ASKER)


async def test_a_refinement_that_missed_is_not_given_out(it: Workload) -> None:
    scores = [5.0, 3.0]

    def worse(call: Call) -> Response | None:
        judged = call.task.get("task") == "evaluate_questions"
        return _judgement(scores.pop(0)) if judged else None

    with refusing(it.simulator, worse):
        [result] = await it.answers(KUBERNETES)

    assert result.evaluation.score == 5.0
    assert not result.refined
    assert not result.evaluation.accepted


async def test_anonymous_requests_are_answered(it: Workload) -> None:
    results = await it.answers(KUBERNETES, asker=Asker())

    assert results[0].served == "new"
    assert all("user_id" not in event for event in it.captured.events)


def _completion(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return msgspec.json.encode(
        {"id": "x", "object": "chat.completion", "created": 1, "model": "gemini-2.0-flash-exp",
         "choices": [choice], "usage": usage}
    )  # fmt: skip


def _judgement(score: float) -> Response:
    criteria = {"relevance": score, "clarity": score, "depth": score}
    entry = {"id": "g1", "score": score, "feedback": "Hm.", "criteria": criteria}
    text = msgspec.json.encode({"evaluations": [entry]}).decode()
    return Response(_completion(text), media_type="application/json")
