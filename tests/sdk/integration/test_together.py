"""An application with all integrations at once: each thing counts once, and has its user."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any, TypedDict

import httpx
import openai
from langgraph.graph import START, StateGraph
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

import windsock
from windsock.integrations.asgi import WindsockMiddleware
from windsock.integrations.langchain import WindsockCallbackHandler
from windsock.testing import Captured
from windsock_kit.testing import serving

ASKED: Any = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello?"}]}
USERS = [f"u-{number}" for number in range(8)]


class State(TypedDict, total=False):
    gap_priority: str
    answer: str


def application(client: openai.AsyncOpenAI) -> WindsockMiddleware:
    handler = WindsockCallbackHandler(nodes=False)

    @windsock.track_node()
    async def ask(state: State) -> State:
        answer = await client.chat.completions.create(**ASKED)
        return {"answer": answer.choices[0].message.content or ""}

    graph = StateGraph(State).add_node("ask", ask).add_edge(START, "ask").compile()

    async def run(request: Request) -> Response:
        state = await graph.ainvoke({"gap_priority": "HIGH"}, {"callbacks": [handler]})
        return PlainTextResponse(state["answer"])

    async def stream(request: Request) -> Response:
        async def pieces() -> AsyncGenerator[str]:
            async for chunk in await client.chat.completions.create(**ASKED, stream=True):
                yield chunk.choices[0].delta.content or ""

        return StreamingResponse(pieces())

    return WindsockMiddleware(Starlette(routes=[Route("/run", run), Route("/stream", stream)]))


async def test_each_thing_counts_once_and_has_its_user(
    client: openai.AsyncOpenAI, captured: Captured
) -> None:
    async with (
        serving(application(client)) as address,
        httpx.AsyncClient(base_url=address) as browser,
    ):
        answers = await asyncio.gather(
            *(
                browser.get(path, headers={"X-User-Id": user})
                for user in USERS
                for path in ("/run", "/stream")
            )
        )

    assert {answer.text for answer in answers} == {'{"ok": true}'}
    counted = Counter(
        (event["type"], event["operation"], event["user_id"], event.get("gap_priority"))
        for event in captured.events
    )
    of_run = {("performance", "ask"), ("llm_call", "ask"), ("cache", "ask")}
    of_request = {("performance", "GET /run"), ("performance", "GET /stream")}
    of_stream = {("llm_call", "GET /stream"), ("cache", "GET /stream")}
    assert counted == {
        (*what, user, "HIGH" if what in of_run else None): 1
        for what in of_run | of_request | of_stream
        for user in USERS
    }
