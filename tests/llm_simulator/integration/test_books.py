"""The ledger beside what clients saw: to the token and the nano-dollar, whatever happened to the calls."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import openai
import pytest

from llm_simulator.domain.catalogue import MODELS, Usage
from tests.llm_simulator.simulators import (
    CHAT,
    EMBEDDINGS,
    HELLO,
    LITE,
    Simulator,
    simulating,
    task,
)

STABLE = {"role": "system", "content": "Ask one thing at a time, in plain words.\n" * 150}


class Seen:
    """Adds up what one client was told."""

    def __init__(self) -> None:
        self.by_model: dict[str, list[Usage]] = {}

    def note(self, model: str, usage: Any) -> None:
        details = getattr(usage, "prompt_tokens_details", None)
        self.by_model.setdefault(model, []).append(
            Usage(
                usage.prompt_tokens,
                0 if details is None else details.cached_tokens,
                getattr(usage, "completion_tokens", 0),
            )
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return what the ledger should have."""
        return [
            {
                "model": name,
                "kind": MODELS[name].kind,
                "calls": len(usages),
                "input_tokens": sum(usage.input_tokens for usage in usages),
                "cached_input_tokens": sum(usage.cached_input_tokens for usage in usages),
                "output_tokens": sum(usage.output_tokens for usage in usages),
                "cost_nanos": sum(MODELS[name].cost_nanos(usage) for usage in usages),
            }
            for name, usages in sorted(self.by_model.items())
        ]


async def plain(simulator: Simulator, seen: Seen, model: str, messages: Any) -> None:
    answer = await simulator.api.chat.completions.create(model=model, messages=messages)
    seen.note(model, answer.usage)


async def streamed(simulator: Simulator, seen: Seen, model: str, messages: Any) -> None:
    async with await simulator.api.chat.completions.create(
        model=model, messages=messages, stream=True, stream_options={"include_usage": True}
    ) as stream:
        async for chunk in stream:
            if chunk.usage is not None:
                seen.note(model, chunk.usage)


async def placed(simulator: Simulator, seen: Seen, texts: list[str]) -> None:
    answer = await simulator.api.embeddings.create(model=EMBEDDINGS, input=texts)
    seen.note(EMBEDDINGS, answer.usage)


async def test_ledger_says_what_clients_saw() -> None:
    seen = Seen()
    async with simulating(seed=3) as simulator:
        calls = []
        for number in range(20):
            gap = {"id": "g", "skill": f"skill {number}", "priority": "HIGH"}
            messages = [STABLE, *task(task="generate_questions", language="dutch", gaps=[gap])]
            calls.append(plain(simulator, seen, CHAT, messages))
            calls.append(streamed(simulator, seen, LITE, messages))
            calls.append(placed(simulator, seen, [f"skill {number}", "Kubernetes"]))
        calls += [plain(simulator, seen, CHAT, HELLO) for _ in range(5)]
        calls += [streamed(simulator, seen, CHAT, HELLO) for _ in range(5)]
        await asyncio.gather(*calls)
        ledger = await simulator.ledger()

    rows = seen.rows()
    assert ledger["models"] == rows
    names = ("calls", "input_tokens", "cached_input_tokens", "output_tokens", "cost_nanos")
    for name in names:
        assert ledger[name] == sum(row[name] for row in rows)
    assert ledger["cached_input_tokens"] > 20 * 1_000
    assert ledger["calls"] == 70
    # The ten that are alike are one key, streamed or not.
    assert (ledger["unique_keys"], ledger["duplicate_calls"]) == (61, 9)
    assert (ledger["errors"], ledger["saturated"]) == ({}, False)
    assert ledger["cut"] == dict.fromkeys(names, 0)
    assert ledger["parameters"]["seed"] == 3


async def test_every_call_is_in_one_place_of_the_ledger() -> None:
    seen = Seen()
    async with simulating() as simulator:
        await simulator.faults(error_rate=0.3, error_status=502, cut_stream_rate=0.5)
        outcomes = await asyncio.gather(
            *(
                streamed(simulator, seen, CHAT, [{"role": "user", "content": f"Question {n}?"}])
                for n in range(60)
            ),
            return_exceptions=True,
        )
        ledger = await simulator.ledger()

    refused = sum(isinstance(outcome, openai.InternalServerError) for outcome in outcomes)
    broken = sum(isinstance(outcome, openai.APIConnectionError) for outcome in outcomes)
    assert min(len(seen.by_model[CHAT]), broken, refused) >= 8
    assert ledger["models"] == seen.rows()
    assert ledger["cut"]["calls"] == broken
    assert ledger["errors"] == {"502": refused}
    assert ledger["calls"] + broken + refused == 60


async def test_cut_stream_is_booked_with_what_was_sent_of_it() -> None:
    body = {"model": CHAT, "messages": HELLO, "stream": True}
    async with simulating() as simulator:
        whole = await simulator.api.chat.completions.create(model=CHAT, messages=HELLO)
        await simulator.faults(cut_stream_rate=1.0)
        received: list[bytes] = []
        with pytest.raises(httpx.RemoteProtocolError):
            await receive(simulator, body, received)
        cut = (await simulator.ledger())["cut"]

    assert whole.usage is not None
    events = b"".join(received).count(b"data: ")
    assert b"[DONE]" not in received[-1]
    assert cut["calls"] == 1
    assert cut["input_tokens"] == whole.usage.prompt_tokens
    # Every portion has at most five tokens, and the first event has none.
    portions = events - 1
    assert portions <= cut["output_tokens"] <= 5 * portions
    assert cut["output_tokens"] < whole.usage.completion_tokens
    assert cut["cost_nanos"] == cut["input_tokens"] * 100 + cut["output_tokens"] * 400


async def receive(simulator: Simulator, body: Any, received: list[bytes]) -> None:
    async with simulator.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        async for part in answer.aiter_bytes():
            received.append(part)  # noqa: PERF401  # What came is looked at after the break.


async def test_client_that_leaves_is_booked_as_cut() -> None:
    async with simulating(time_scale=1.0) as simulator:
        create = simulator.api.with_options(timeout=0.05).chat.completions.create
        with pytest.raises(openai.APITimeoutError):
            await create(model=CHAT, messages=HELLO)
        ledger = await ledger_with_cut_calls(simulator, 1)

    assert (ledger["calls"], ledger["unique_keys"]) == (0, 0)
    assert (ledger["cut"]["input_tokens"] > 0, ledger["cut"]["output_tokens"]) == (True, 0)


async def ledger_with_cut_calls(simulator: Simulator, calls: int) -> Any:
    """Return the ledger once it has so many; a client's leaving takes a moment to be noticed."""
    async with asyncio.timeout(5):
        while (ledger := await simulator.ledger())["cut"]["calls"] < calls:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return ledger


async def test_refusals_of_all_kinds_are_counted_by_status() -> None:
    async with simulating(requests_per_minute=1) as simulator:
        bodies: list[Any] = [
            {"model": CHAT, "messages": HELLO},
            {"model": CHAT, "messages": HELLO},
            {"model": "gpt-7", "messages": HELLO},
            {"model": CHAT},
            {"model": CHAT, "messages": HELLO, "n": 3},
        ]
        statuses = [
            (await simulator.http.post("/v1/chat/completions", json=body)).status_code
            for body in bodies
        ]
        ledger = await simulator.ledger()

    assert statuses == [200, 429, 404, 400, 400]
    assert ledger["errors"] == {"400": 2, "404": 1, "429": 1}
    assert ledger["calls"] == 1


async def test_new_ledger_begins_empty_and_the_old_one_is_answered() -> None:
    async with simulating() as simulator:
        await simulator.api.chat.completions.create(model=CHAT, messages=HELLO)
        old = (await simulator.http.delete("/ledger")).json()
        new = await simulator.ledger()
        await simulator.api.chat.completions.create(model=CHAT, messages=HELLO)
        later = await simulator.ledger()

    assert (old["calls"], new["calls"], later["calls"]) == (1, 0, 1)
    assert old["since"] < new["since"] == later["since"]
    assert later["duplicate_calls"] == 0
