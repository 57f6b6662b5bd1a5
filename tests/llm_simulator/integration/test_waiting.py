"""Time that is really waited: an answer comes no earlier than its draw says, and a stream keeps its pace."""

from __future__ import annotations

import time

from tests.llm_simulator.simulators import CHAT, HELLO, simulating


async def test_answer_comes_no_earlier_than_drawn() -> None:
    body = {"model": CHAT, "messages": HELLO}
    async with simulating(time_scale=0.2) as simulator:
        began = time.monotonic()
        answer = await simulator.http.post("/v1/chat/completions", json=body)
        took_ms = (time.monotonic() - began) * 1000

    assert took_ms >= 0.2 * float(answer.headers["x-simulated-latency-ms"])


async def test_stream_begins_before_it_ends() -> None:
    body = {"model": CHAT, "messages": HELLO, "stream": True}
    async with simulating(time_scale=0.5) as simulator:
        began = time.monotonic()
        async with simulator.http.stream("POST", "/v1/chat/completions", json=body) as answer:
            drawn_ms = float(answer.headers["x-simulated-latency-ms"])
            times = [(time.monotonic() - began) * 1000 async for _ in answer.aiter_bytes()]

    # About fifty tokens of 5 ms come after the first.
    assert times[-1] >= 0.5 * drawn_ms
    assert times[-1] - times[0] >= 0.5 * 0.5 * 5 * 40
    assert len(times) > 5
