"""A simulator over real HTTP, with the clients that tests need."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import openai
import orjson

from llm_simulator.app import create_app
from llm_simulator.settings import Settings
from windsock_kit.testing import serving

CHAT = "gemini-2.0-flash-exp"
LITE = "gemini-2.0-flash-lite"
EMBEDDINGS = "text-embedding-004"
HELLO: Any = [{"role": "user", "content": "What makes a good index?"}]


@dataclass(frozen=True, slots=True)
class Simulator:
    """A running simulator: ``api`` is OpenAI's own client, which does not try again by itself."""

    url: str
    api: openai.AsyncOpenAI
    http: httpx.AsyncClient

    async def ledger(self) -> Any:
        return (await self.http.get("/ledger")).json()

    async def faults(self, **faults: Any) -> None:
        answer = await self.http.put("/faults", json=faults)
        assert answer.status_code == 200, answer.text


@asynccontextmanager
async def simulating(**settings: Any) -> AsyncGenerator[Simulator]:
    """Serve a simulator that does not wait, unless ``settings`` say so."""
    app = create_app(Settings(**{"time_scale": 0.0, **settings}))
    async with serving(app) as url, clients(url) as simulator:
        yield simulator


@asynccontextmanager
async def clients(url: str) -> AsyncGenerator[Simulator]:
    """Give clients of a simulator that is served elsewhere."""
    # Reading the certificates that http does not need takes a tenth of a second.
    async with (
        httpx.AsyncClient(base_url=url, timeout=20, verify=False) as http,
        openai.AsyncOpenAI(
            base_url=f"{url}/v1",
            api_key="simulated",
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(verify=False, timeout=20),
        ) as api,
    ):
        yield Simulator(url, api, http)


def task(**content: Any) -> Any:
    """Return messages that give a task."""
    return [
        {"role": "system", "content": "You help interviewers. Answer with one JSON object."},
        {"role": "user", "content": f"This is the task:\n{orjson.dumps(content).decode()}\n"},
    ]
