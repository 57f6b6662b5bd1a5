"""Each flag against the same population under the defaults, everything else equal and seeded.

How large the effects are, in time too, is what ``benchmarks/flag_effects.py`` measures.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean

import pytest_asyncio

from adaptive_questions.domain.gap import Gap, Priority
from tests.adaptive_questions.core_fixtures import KUBERNETES, Call, workload

SKILLS = [
    "Kubernetes", "Docker", "Terraform", "AWS", "Linux", "PostgreSQL", "Redis", "MongoDB", "SQL",
    "Kafka", "Python", "Java", "Go", "Rust", "TypeScript", "React", "CSS", "GraphQL",
]  # fmt: skip
PRIORITIES = list(Priority)
REQUESTS = 3
GAPS = 10


@dataclass(frozen=True, slots=True)
class Effect:
    """What the population comes to under some flags.

    All of it is the same each time but what is cached, which goes by who of several comes first.
    """

    chats: int
    tokens: int
    chats_at_once: int
    cached_tokens: int
    cost_nanos: int
    score: float
    refined: int
    context: int
    prompted: int
    cards: int


async def effect(given: Mapping[str, object]) -> Effect:
    """Return what a new workload does for the population under ``given`` flags."""
    answers = []
    async with workload(given) as it:
        for number in range(REQUESTS):
            gaps = [
                Gap(skill, PRIORITIES[(number + at) % 4], f"seen in request {number}")
                for at, skill in enumerate(SKILLS[number * 2 :][:GAPS])
            ]
            answers += await it.answers(*gaps)
        ledger = await it.simulator.ledger()
    first_pass = [e for e in it.captured.of_type("quality") if "refined" in e]
    return Effect(
        chats=len([call for call in it.simulator.gate.calls if call.task]),
        tokens=ledger["input_tokens"] + ledger["output_tokens"],
        chats_at_once=it.simulator.gate.most_at_once["/v1/chat/completions"],
        cached_tokens=ledger["cached_input_tokens"],
        cost_nanos=ledger["cost_nanos"],
        score=mean(event["score"] for event in first_pass),
        refined=sum(event["refined"] for event in first_pass),
        context=sum(len(each.similar_questions) + len(each.resources) for each in answers),
        prompted=sum(bool(each.deep_dive_prompts) for each in answers),
        cards=sum(each.cards is not None for each in answers),
    )


@pytest_asyncio.fixture(scope="module")
async def default() -> Effect:
    return await effect({})


@pytest_asyncio.fixture(scope="module")
async def unoptimized() -> Effect:
    return await effect({"use_prompt_cache_optimizer": False})


def test_the_prompt_cache_optimizer_makes_calls_cheaper(
    default: Effect, unoptimized: Effect
) -> None:
    assert unoptimized.cached_tokens == 0
    assert default.cached_tokens > 0
    assert default.cost_nanos < 0.8 * unoptimized.cost_nanos


async def test_batch_generation_shares_calls_and_runs_side_by_side(default: Effect) -> None:
    off = await effect({"use_batch_generation": False})

    # All groups of a request at once, or its gaps two by two.
    assert default.chats_at_once > 2
    assert off.chats_at_once == 2
    assert default.chats < 0.6 * off.chats
    assert default.cost_nanos < off.cost_nanos


async def test_dynamic_thresholds_refine_less(default: Effect) -> None:
    off = await effect({"dynamic_quality_thresholds": False})

    assert default.score == off.score
    assert default.refined < off.refined
    assert default.tokens < off.tokens


async def test_parallel_searches_run_at_the_same_time() -> None:
    both = asyncio.Event()

    async def until_both_are_there(call: Call) -> None:
        if call.body.get("input") in (["Interview question about Kubernetes"], LEARNING):
            asked.append(call)
            if len(asked) == 2:
                both.set()
            async with asyncio.timeout(10):
                await both.wait()

    asked: list[Call] = []
    async with workload({"parallel_rag_searches": True}) as it:
        it.simulator.gate.before = until_both_are_there
        await it.answers(KUBERNETES)

    assert len(asked) == 2


async def test_without_parallel_searches_one_follows_the_other() -> None:
    async with workload({"parallel_rag_searches": False}) as it:
        await it.answers(KUBERNETES)

    inputs = [call.body["input"] for call in it.simulator.gate.calls if "input" in call.body]
    assert inputs == [["Kubernetes"], ["Interview question about Kubernetes"], LEARNING]
    assert it.simulator.gate.most_at_once["/v1/embeddings"] == 1


LEARNING = ["How to learn Kubernetes"]


async def test_the_lite_model_writes_worse_and_costs_less_where_nothing_is_cached(
    default: Effect, unoptimized: Effect
) -> None:
    lite = {"experimental_llm_model": "gemini-2.0-flash-lite"}
    cached = await effect(lite)
    plain = await effect({**lite, "use_prompt_cache_optimizer": False})

    assert cached.score < default.score - 0.2
    assert plain.cost_nanos < unoptimized.cost_nanos
    # Its provider gives no discount for a prefix that it has seen.
    assert cached.cost_nanos > default.cost_nanos


async def test_the_newer_embedding_model_finds_more_and_questions_get_better(
    default: Effect,
) -> None:
    newer = await effect({"experimental_embedding_model": "text-embedding-005"})

    assert newer.context > 1.2 * default.context
    assert newer.score > default.score


async def test_the_relaxed_threshold_finds_more(default: Effect) -> None:
    relaxed = await effect({"experimental_rag_threshold": 0.6})

    assert relaxed.context > 1.2 * default.context


async def test_the_new_page_gets_cards_and_loads_the_lesser_prompts_itself(
    default: Effect,
) -> None:
    new = await effect({"new_ui_dashboard": True})

    assert (default.cards, default.prompted) == (0, REQUESTS * GAPS)
    assert (new.cards, new.prompted) == (REQUESTS * GAPS, REQUESTS * GAPS / 2)
    assert new.chats < default.chats
    assert new.tokens < default.tokens


async def test_the_advanced_evaluation_is_stricter_and_dearer(default: Effect) -> None:
    advanced = await effect({"advanced_quality_evaluation": True})

    assert advanced.score < default.score - 0.1
    assert advanced.refined > default.refined
    assert advanced.tokens > default.tokens
