"""The HTTP interface in front of questions that the test decides on."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import orjson
import pytest

from adaptive_questions.app import create_app
from adaptive_questions.domain.gap import Asker, Brief, Gap, Language, Priority
from adaptive_questions.domain.result import WorkloadError
from adaptive_questions.settings import Settings
from tests.adaptive_questions.bodies import BODIES, BRIEF, GAP, ONE, PREFIX, batch_of
from tests.adaptive_questions.scripted import ScriptedQuestions
from windsock_kit.testing import running

WHOLE = [name for name in BODIES if name != "generate/stream"]
KUBERNETES = Gap("Kubernetes", Priority.HIGH)
EVALUATION = {
    "score": 7.25,
    "criteria": {"relevance": 7.5, "clarity": 7.0, "depth": 7.25},
    "feedback": "Good.",
    "threshold": 7.0,
    "accepted": True,
}
QUESTION = {
    "text": "What of Kubernetes?",
    "difficulty": "medium",
    "expected_points": ["a point", "another"],
    "follow_up": "And then?",
}
GENERATED = {
    "gap": GAP | {"description": ""},
    "status": "ok",
    "question": QUESTION,
    "evaluation": EVALUATION,
    "refined": False,
    "deep_dive_prompts": ["Why?"],
    "similar_questions": ["How is it done?"],
    "resources": [{"title": "A book", "kind": "book", "similarity": 0.8123}],
    "model": "gemini-2.0-flash-exp",
    "served": "new",
}


async def test_gap_gets_its_question(
    client: httpx.AsyncClient, questions: ScriptedQuestions
) -> None:
    body = ONE | {"language": "german", "user_id": "u-7"}

    answer = await client.post(
        f"{PREFIX}/generate", json=body, headers={"X-User-ID": "u-8", "X-Session-ID": "s-1"}
    )

    assert (answer.status_code, answer.json()) == (200, GENERATED)
    brief = Brief(BRIEF["parsed_cv"], BRIEF["parsed_jd"], Language.GERMAN)
    assert questions.asked == [("generate", [KUBERNETES], brief, Asker("u-7", "s-1"))]


async def test_new_page_gets_its_cards(
    client: httpx.AsyncClient, questions: ScriptedQuestions
) -> None:
    questions.with_cards = True

    answer = await client.post(f"{PREFIX}/generate", json=ONE)

    assert answer.json() == GENERATED | {"cards": [{"title": "Question", "text": "How?"}]}


async def test_batch_gets_a_result_for_each_gap_in_order(
    client: httpx.AsyncClient, questions: ScriptedQuestions
) -> None:
    questions.failing["Kafka"] = WorkloadError("bad_answer", "no JSON")

    answer = await client.post(
        f"{PREFIX}/batch-generate", json=batch_of("Rust", "Kafka", "Go", "Go")
    )

    told = answer.json()
    assert answer.status_code == 200
    assert [result["gap"]["skill"] for result in told["questions"]] == ["Rust", "Kafka", "Go", "Go"]
    assert [result["status"] for result in told["questions"]] == ["ok", "error", "ok", "ok"]
    assert told["questions"][1]["error"] == {
        "code": "bad_answer",
        "detail": "no JSON",
        "retry_after": None,
    }
    assert told["summary"].pop("duration_ms") > 0
    assert told["summary"] == {
        "requested": 4,
        "generated": 3,
        "failed": 1,
        "served": {"l1": 2, "l2": 0, "shared": 0, "new": 1},
        "average_score": 7.25,
        "refined": 1,
    }


async def test_question_is_refined(client: httpx.AsyncClient, questions: ScriptedQuestions) -> None:
    answer = await client.post(f"{PREFIX}/refine", json=BODIES["refine"])

    assert answer.json() == {
        "gap": GAP | {"description": ""},
        "question": QUESTION,
        "evaluation": EVALUATION,
        "model": "gemini-2.0-flash-exp",
    }
    assert questions.asked[0][:4] == ("refine", KUBERNETES, "What?", "Too broad")


@pytest.mark.parametrize("given", [None, "Like this."])
async def test_question_and_answer_are_evaluated(
    client: httpx.AsyncClient, questions: ScriptedQuestions, given: str | None
) -> None:
    answer = await client.post(f"{PREFIX}/evaluate", json=BODIES["evaluate"] | {"answer": given})

    assert answer.json() == {"gap": GAP | {"description": ""}, "evaluation": EVALUATION}
    assert questions.asked[0][:4] == ("evaluate", KUBERNETES, "What?", given)


FAILURES: list[Any] = [
    ("rate_limited", 2.4, 503, "3"),
    ("rate_limited", None, 503, "2"),
    ("provider_unreachable", None, 503, "2"),
    ("provider_error", None, 502, None),
    ("bad_answer", None, 502, None),
    ("provider_timeout", None, 504, None),
]


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize(("code", "wait", "status", "retry_after"), FAILURES)
async def test_what_the_provider_does_wrong_is_told(
    client: httpx.AsyncClient,
    questions: ScriptedQuestions,
    name: str,
    code: str,
    wait: float | None,
    status: int,
    retry_after: str | None,
) -> None:
    questions.refusal = WorkloadError(code, "the provider is not well", wait)
    questions.failing["Kubernetes"] = questions.refusal

    answer = await client.post(f"{PREFIX}/{name}", json=BODIES[name])

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers.get("retry-after") == retry_after
    assert "the provider is not well" in answer.json()["detail"]


async def test_batch_without_a_question_tells_each_failure(
    client: httpx.AsyncClient, questions: ScriptedQuestions
) -> None:
    questions.failing = {
        "Go": WorkloadError("bad_answer", "no JSON"),
        "Rust": WorkloadError("rate_limited", "slowly", 1.0),
        "Kafka": WorkloadError("rate_limited", "more slowly", 4.5),
    }

    answer = await client.post(f"{PREFIX}/batch-generate", json=batch_of(*questions.failing))

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (503, "rate_limited")
    assert answer.headers["retry-after"] == "5"
    assert [(each["gap"]["skill"], each["error"]["detail"]) for each in problem["errors"]] == [
        ("Go", "no JSON"),
        ("Rust", "slowly"),
        ("Kafka", "more slowly"),
    ]


@pytest.mark.parametrize("name", BODIES)
async def test_bad_body_is_refused_with_its_path(client: httpx.AsyncClient, name: str) -> None:
    body = BODIES[name] | {"language": "klingon"}

    answer = await client.post(f"{PREFIX}/{name}", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert answer.json()["path"] == "language"
    assert "turkish" in answer.json()["allowed"]


@pytest.mark.parametrize("name", BODIES)
async def test_request_beyond_the_places_is_refused_at_once(
    questions: ScriptedQuestions, unmeasured: None, name: str
) -> None:
    questions.let_go = asyncio.Event()
    async with running(create_app(Settings(max_requests=1), questions.opened)) as client:
        first = asyncio.create_task(client.post(f"{PREFIX}/generate", json=ONE))
        await questions.begun.wait()

        refused = await client.post(f"{PREFIX}/{name}", json=BODIES[name])
        shown = (await client.get("/metrics")).text
        questions.let_go.set()
        answers = [await first, await client.post(f"{PREFIX}/{name}", json=BODIES[name])]

    assert (refused.status_code, refused.json()["code"]) == (503, "busy")
    assert refused.headers["retry-after"] == "1"
    assert "questions_requests_at_work 1.0" in shown
    assert "questions_requests_refused_total 1.0" in shown
    assert [answer.status_code for answer in answers] == [200, 200]


@pytest.mark.parametrize("name", WHOLE)
async def test_request_that_takes_too_long_is_given_up(
    questions: ScriptedQuestions, unmeasured: None, name: str
) -> None:
    questions.let_go = asyncio.Event()
    settings = Settings(request_timeout_seconds=0.05, max_requests=1)
    async with running(create_app(settings, questions.opened)) as client:
        late = await client.post(f"{PREFIX}/{name}", json=BODIES[name])
        questions.let_go.set()
        next_one = await client.post(f"{PREFIX}/{name}", json=BODIES[name])

    assert (late.status_code, late.json()["code"]) == (504, "deadline_exceeded")
    assert late.json()["detail"] == "not answered within 0.05 s"
    assert next_one.status_code == 200


async def test_body_over_a_mebibyte_is_refused(client: httpx.AsyncClient) -> None:
    body = ONE | {"parsed_cv": {"text": "x" * 2**20}}

    answer = await client.post(f"{PREFIX}/generate", content=orjson.dumps(body))

    assert (answer.status_code, answer.json()["limit"]) == (413, "max_bytes")


async def test_readiness_is_that_of_the_knowledge_base(
    client: httpx.AsyncClient, questions: ScriptedQuestions
) -> None:
    ready = await client.get("/readyz")
    questions.is_ready = False
    not_ready = await client.get("/readyz")

    assert ready.json() == {"status": "ready", "checks": {"knowledge": "ok"}}
    assert (not_ready.status_code, not_ready.json()["checks"]) == (
        503,
        {"knowledge": "the knowledge base is being indexed"},
    )


async def test_caches_are_in_the_metrics(client: httpx.AsyncClient) -> None:
    shown = (await client.get("/metrics")).text.splitlines()

    assert 'questions_cache_entries{cache="questions"} 5.0' in shown
    assert 'questions_cache_lookups_total{cache="questions",layer="l2",result="miss"} 1.0' in shown
