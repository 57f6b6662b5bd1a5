"""The fault switch."""

from __future__ import annotations

import asyncio
from statistics import fmean
from typing import Any

import httpx
import openai
import orjson
import pytest

from tests.llm_simulator.simulators import CHAT, EMBEDDINGS, HELLO, Simulator, simulating, task


async def post(simulator: Simulator, number: int = 0, **extra: Any) -> httpx.Response:
    messages = [{"role": "user", "content": f"Question {number}?"}]
    body = {"model": CHAT, "messages": messages, **extra}
    return await simulator.http.post("/v1/chat/completions", json=body)


def latency(answer: httpx.Response) -> float:
    return float(answer.headers["x-simulated-latency-ms"])


async def test_outage_refuses_everything_and_ends_by_itself() -> None:
    async with simulating() as simulator:
        await simulator.faults(outage=True, for_seconds=0.3)
        with pytest.raises(openai.InternalServerError, match="out of service") as chat:
            await simulator.api.chat.completions.create(model=CHAT, messages=HELLO)
        with pytest.raises(openai.InternalServerError) as placing:
            await simulator.api.embeddings.create(model=EMBEDDINGS, input="text")
        ready = await simulator.http.get("/readyz")
        in_force = (await simulator.http.get("/faults")).json()
        async with asyncio.timeout(5):
            while (await post(simulator)).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        ended = (await simulator.http.get("/faults")).json()

    assert chat.value.status_code == placing.value.status_code == 503
    assert chat.value.response.headers["retry-after"] == "1"
    assert ready.status_code == 200
    assert in_force["outage"] is True
    assert 0 < in_force["remaining_seconds"] <= 0.3
    assert (ended["outage"], ended["remaining_seconds"]) == (False, None)


@pytest.mark.parametrize("status", [429, 500, 503, 529])
async def test_errors_come_at_their_rate_with_their_status(status: int) -> None:
    async with simulating() as simulator:
        await simulator.faults(error_rate=0.25, error_status=status)
        answers = await asyncio.gather(*(post(simulator, number) for number in range(80)))
        ledger = await simulator.ledger()

    refused = [answer for answer in answers if answer.status_code != 200]
    assert {answer.status_code for answer in refused} == {status}
    assert 8 <= len(refused) <= 34
    assert ledger["errors"] == {str(status): len(refused)}
    assert all(answer.json()["error"]["message"] for answer in refused)


async def test_same_calls_fail_with_the_same_seed_and_a_retry_has_a_new_chance() -> None:
    async def statuses(seed: int) -> list[int]:
        async with simulating(seed=seed) as simulator:
            await simulator.faults(error_rate=0.5)
            rounds = [
                await asyncio.gather(*(post(simulator, number) for number in range(20)))
                for _ in range(3)
            ]
            return [answer.status_code for answers in rounds for answer in answers]

    first = await statuses(1)

    assert await statuses(1) == first
    assert await statuses(2) != first
    retried = [set(first[number::20]) for number in range(20)]
    assert {200, 500} in retried


async def test_slow_first_token_slows_chats_only() -> None:
    async with simulating() as calm:
        usual = latency(await post(calm))
        placed = await calm.http.post("/v1/embeddings", json={"model": EMBEDDINGS, "input": "a"})
    async with simulating() as slow:
        await slow.faults(slow_first_token_factor=10.0)
        slowed = latency(await post(slow))
        also = await slow.http.post("/v1/embeddings", json={"model": EMBEDDINGS, "input": "a"})

    assert slowed > usual + 9 * 100
    assert latency(placed) == latency(also)


async def test_dropped_quality_shows_in_the_scores() -> None:
    async def done(simulator: Simulator, **content: Any) -> Any:
        messages = task(**content)
        answer = await simulator.api.chat.completions.create(model=CHAT, messages=messages)
        return orjson.loads(answer.choices[0].message.content or "")

    async def mean_score(simulator: Simulator) -> float:
        gaps = [{"id": f"g{n}", "skill": f"skill {n}", "priority": "HIGH"} for n in range(50)]
        written = await done(simulator, task="generate_questions", gaps=gaps)
        judged = await done(simulator, task="evaluate_questions", items=written["questions"])
        return fmean(evaluation["score"] for evaluation in judged["evaluations"])

    async with simulating() as simulator:
        good = await mean_score(simulator)
        await simulator.faults(quality_drop=0.7)
        bad = await mean_score(simulator)
        await simulator.http.delete("/faults")
        again = await mean_score(simulator)

    assert good == again > bad + 1


WRONG: list[Any] = [
    ({"error_rate": 1.1}, "error_rate"),
    ({"error_rate": "half"}, "error_rate"),
    ({"error_status": 200}, "error_status"),
    ({"error_status": 500.5}, "error_status"),
    ({"slow_first_token_factor": 0.5}, "slow_first_token_factor"),
    ({"cut_stream_rate": -0.1}, "cut_stream_rate"),
    ({"quality_drop": 2}, "quality_drop"),
    ({"outage": "yes"}, "outage"),
    ({"for_seconds": 0}, "for_seconds"),
    ({"for_seconds": 86_401}, "for_seconds"),
    ({"error_rat": 0.1}, "error_rat"),
]


@pytest.mark.parametrize(("body", "path"), WRONG, ids=str)
async def test_wrong_fault_is_refused_with_its_path(
    simulator: Simulator, body: Any, path: str
) -> None:
    answer = await simulator.http.put("/faults", json=body)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["path"] == path
    assert (await simulator.http.get("/faults")).json()["error_rate"] == 0


async def test_unknown_fault_is_told_with_those_that_there_are(simulator: Simulator) -> None:
    answer = await simulator.http.put("/faults", json={"weather": "bad"})

    assert answer.json()["allowed"] == [
        "error_rate", "error_status", "slow_first_token_factor", "cut_stream_rate",
        "quality_drop", "outage", "for_seconds",
    ]  # fmt: skip


@pytest.mark.parametrize("body", [b"", b"{", b"\xff"])
async def test_what_is_no_json_is_refused(simulator: Simulator, body: bytes) -> None:
    answer = await simulator.http.put("/faults", content=body)

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")


async def test_put_replaces_all_faults(simulator: Simulator) -> None:
    await simulator.faults(error_rate=0.5, quality_drop=0.5)
    await simulator.faults(quality_drop=0.2)
    in_force = (await simulator.http.get("/faults")).json()
    ended = (await simulator.http.delete("/faults")).json()

    assert (in_force["error_rate"], in_force["quality_drop"]) == (0, 0.2)
    assert ended["quality_drop"] == 0
