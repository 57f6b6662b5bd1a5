"""The same seed gives the same answers and latencies, in another application and in another process."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.llm_simulator.simulators import CHAT, EMBEDDINGS, LITE, clients, simulating, task

GAPS = [{"id": "g1", "skill": "Kubernetes", "priority": "HIGH"}]
REQUESTS: list[tuple[str, Any]] = [
    ("/v1/chat/completions", {"model": CHAT, "messages": task(task="generate_questions", gaps=GAPS)}),
    ("/v1/chat/completions", {"model": CHAT, "messages": task(task="generate_questions", gaps=GAPS)}),
    ("/v1/chat/completions", {"model": LITE, "messages": task(task="deep_dive_prompts", gaps=GAPS)}),
    ("/v1/chat/completions", {"model": CHAT, "messages": [{"role": "user", "content": "Why?"}]}),
    ("/v1/embeddings", {"model": EMBEDDINGS, "input": ["Kubernetes", "Docker"]}),
    ("/v1/embeddings", {"model": EMBEDDINGS, "input": ["Kubernetes", "Docker"]}),
]  # fmt: skip


async def answers(http: httpx.AsyncClient) -> list[tuple[str, Any]]:
    """Return latency and content of the answer to each request."""
    found = []
    for path, body in REQUESTS:
        answer = await http.post(path, json=body)
        assert answer.status_code == 200, answer.text
        content = answer.json()
        content.pop("created", None)
        found.append((answer.headers["x-simulated-latency-ms"], content))
    return found


async def test_two_applications_with_one_seed_answer_alike() -> None:
    async with simulating(seed=5) as one, simulating(seed=5) as other:
        assert await answers(one.http) == await answers(other.http)


async def test_another_seed_answers_otherwise() -> None:
    async with simulating(seed=5) as one, simulating(seed=6) as other:
        ours, theirs = await answers(one.http), await answers(other.http)

    assert [latency for latency, _ in ours] != [latency for latency, _ in theirs]
    assert ours[0][1]["choices"] != theirs[0][1]["choices"]
    assert ours[4][1]["data"] != theirs[4][1]["data"]


async def test_same_question_has_the_same_answer_after_another_time() -> None:
    async with simulating(seed=5) as simulator:
        found = await answers(simulator.http)

    for first, second in ((0, 1), (4, 5)):
        assert found[first][0] != found[second][0]
        ours, theirs = (
            (found[at][1].get("choices"), found[at][1].get("data")) for at in (first, second)
        )
        assert ours == theirs


@asynccontextmanager
async def process(**settings: str) -> AsyncGenerator[tuple[str, asyncio.subprocess.Process]]:
    """Run ``python -m llm_simulator`` until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "llm_simulator"),
        env={**os.environ, "SIMULATOR_PORT": str(port), **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield f"http://127.0.0.1:{port}", running
    finally:
        if running.returncode is None:
            running.terminate()
        await asyncio.wait_for(running.communicate(), 20)


async def test_process_with_the_seed_answers_like_an_application() -> None:
    async with (
        simulating(seed=5) as here,
        process(SIMULATOR_SEED="5", SIMULATOR_TIME_SCALE="0") as (url, running),
        clients(url) as there,
    ):
        assert running.stdout is not None
        async with asyncio.timeout(20):
            while b"startup complete" not in await running.stdout.readline():
                pass
        ours, theirs = await answers(here.http), await answers(there.http)
        parameters = (await there.http.get("/parameters")).json()

    assert ours == theirs
    assert (parameters["seed"], parameters["time_scale"]) == (5, 0)


async def test_wrong_setting_ends_the_start_with_one_line() -> None:
    async with process(SIMULATOR_SLOTS="none") as (_, running):
        async with asyncio.timeout(20):
            out, _ = await running.communicate()

    assert running.returncode == 1
    assert out.decode() == (
        "llm-simulator: SIMULATOR_SLOTS='none' is wrong: it must be a whole number from 1 on\n"
    )


async def test_address_that_others_could_reach_ends_the_start() -> None:
    async with process(SIMULATOR_HOST="0.0.0.0") as (_, running):
        async with asyncio.timeout(20):
            out, _ = await running.communicate()

    assert running.returncode == 1
    assert b"refusing to listen on 0.0.0.0" in out
