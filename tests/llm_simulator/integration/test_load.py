"""Slots, queue and limits, as clients meet them."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import openai
import pytest

from tests.llm_simulator.simulators import CHAT, EMBEDDINGS, HELLO, Simulator, simulating


def ask(simulator: Simulator, number: int) -> asyncio.Task[httpx.Response]:
    body = {"model": CHAT, "messages": [{"role": "user", "content": f"Question {number}?"}]}
    return asyncio.create_task(simulator.http.post("/v1/chat/completions", json=body))


def gauges(text: str) -> tuple[float, float]:
    """Return how many slots are busy and how many calls wait, as ``/metrics`` says."""
    values = dict(line.split(" ") for line in text.splitlines() if line.startswith("simulator_"))
    return float(values["simulator_slots_busy"]), float(values["simulator_queue_length"])


async def until(simulator: Simulator, *, busy: int, waiting: int) -> None:
    """Wait until so many calls have slots and so many wait for one."""
    async with asyncio.timeout(5):
        while True:
            text = (await simulator.http.get("/metrics")).text
            if gauges(text) == (busy, waiting):
                return
            await asyncio.sleep(0.005)


async def test_calls_beyond_slots_and_queue_are_turned_away() -> None:
    async with simulating(time_scale=0.3, slots=2, queue=3) as simulator:
        held = [ask(simulator, number) for number in range(5)]
        await until(simulator, busy=2, waiting=3)
        refused = await ask(simulator, 5)
        answers = await asyncio.gather(*held)
        ledger = await simulator.ledger()

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert "queue is full" in refused.json()["error"]["message"]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert (ledger["calls"], ledger["errors"]) == (5, {"503": 1})


async def test_those_who_leave_make_room() -> None:
    async with simulating(time_scale=20.0, slots=1, queue=1) as simulator:
        running, queued = ask(simulator, 0), ask(simulator, 1)
        await until(simulator, busy=1, waiting=1)

        queued.cancel()
        await until(simulator, busy=1, waiting=0)
        next_in_line = ask(simulator, 2)
        await until(simulator, busy=1, waiting=1)
        running.cancel()
        await until(simulator, busy=1, waiting=0)
        next_in_line.cancel()
        await until(simulator, busy=0, waiting=0)

        await asyncio.wait([running, queued, next_in_line])
        ledger = await simulator.ledger()

    assert (ledger["calls"], ledger["cut"]["calls"]) == (0, 3)


async def test_stream_whose_reader_leaves_makes_room() -> None:
    body = {"model": CHAT, "messages": HELLO, "stream": True}
    async with simulating(time_scale=1.0, slots=1) as simulator:
        async with simulator.http.stream("POST", "/v1/chat/completions", json=body) as answer:
            received = b""
            async for part in answer.aiter_bytes():
                received += part
                if received.count(b"data: ") > 3:
                    break
        await until(simulator, busy=0, waiting=0)
        cut = (await simulator.ledger())["cut"]

    assert cut["calls"] == 1
    assert 0 < cut["output_tokens"] < 100


async def test_load_slows_calls_down() -> None:
    async with simulating(time_scale=0.2, slots=2) as simulator:
        alone = await ask(simulator, 0)
        together = await asyncio.gather(*(ask(simulator, number) for number in range(1, 9)))
    async with simulating(slots=2) as unhurried:
        calm = [await ask(unhurried, number) for number in range(9)]

    def drawn(answer: httpx.Response) -> float:
        return float(answer.headers["x-simulated-latency-ms"])

    factors = {
        round(drawn(crowded) / drawn(quiet), 3)
        for crowded, quiet in zip([alone, *together], calm, strict=True)
    }
    # One of two slots, or both: 1 + 0.5 (1/2)^2.
    assert factors == {1.0, 1.125}


async def test_limit_of_requests_is_told_as_openai_does() -> None:
    async with simulating(requests_per_minute=2, tokens_per_minute=1_000) as simulator:
        first = await ask(simulator, 0)
        await ask(simulator, 1)
        with pytest.raises(openai.RateLimitError, match="requests per minute") as told:
            await simulator.api.chat.completions.create(model=CHAT, messages=HELLO)

    headers = told.value.response.headers
    assert 29 <= int(headers["retry-after"]) <= 30
    assert told.value.code == "rate_limit_exceeded"
    assert told.value.type == "requests"
    assert headers["x-ratelimit-limit-requests"] == "2"
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert 50 < float(headers["x-ratelimit-reset-requests"].rstrip("s")) <= 60
    assert int(headers["x-ratelimit-remaining-tokens"]) < 1_000


async def test_limit_of_tokens_counts_input_at_once_and_output_afterwards() -> None:
    async with simulating(tokens_per_minute=100) as simulator:
        answer = await simulator.api.chat.completions.create(model=CHAT, messages=HELLO)
        assert answer.usage is not None
        left = 100 - answer.usage.total_tokens
        texts: Any = ["word " * 90]
        with pytest.raises(openai.RateLimitError, match="tokens per minute") as told:
            await simulator.api.embeddings.create(model=EMBEDDINGS, input=texts)
        remaining = int(told.value.response.headers["x-ratelimit-remaining-tokens"])
        with pytest.raises(openai.RateLimitError) as too_large:
            await simulator.api.embeddings.create(model=EMBEDDINGS, input="word " * 200)

    # A token comes back every 0.6 s.
    assert max(0, left) <= remaining <= max(0, left) + 3
    assert told.value.type == "tokens"
    # More than a whole minute's worth never fits, so there is no use in waiting.
    assert "retry-after" not in too_large.value.response.headers


async def test_client_that_waits_as_it_is_told_gets_through() -> None:
    async with simulating(requests_per_minute=60) as simulator:
        patient = simulator.api.with_options(max_retries=3)
        await asyncio.gather(*(ask(simulator, number) for number in range(60)))

        answer = await patient.chat.completions.create(model=CHAT, messages=HELLO)

    assert answer.choices[0].finish_reason == "stop"


async def test_no_limits_no_headers() -> None:
    async with simulating(requests_per_minute=0, tokens_per_minute=0) as simulator:
        answer = await ask(simulator, 0)

    assert [name for name in answer.headers if name.startswith("x-ratelimit")] == []
