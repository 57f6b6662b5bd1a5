"""A model provider that speaks OpenAI's wire over real HTTP, with answers that a test chooses."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from windsock_kit.testing import serving

MODEL = "gpt-4o-mini-2024-07-18"
CHAT_USAGE: dict[str, Any] = {
    "prompt_tokens": 1200,
    "completion_tokens": 150,
    "total_tokens": 1350,
    "prompt_tokens_details": {"cached_tokens": 1024},
    "completion_tokens_details": {"reasoning_tokens": 40},
}
RESPONSE_USAGE: dict[str, Any] = {
    "input_tokens": 300,
    "output_tokens": 20,
    "total_tokens": 320,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 256},
    "output_tokens_details": {"reasoning_tokens": 5},
}
EMBEDDING_USAGE = {"prompt_tokens": 12, "total_tokens": 12}


@dataclass(frozen=True)
class Answer:
    """What to answer a request.

    ``cut`` breaks the connection in a stream after that many items, ``ends`` ends it there as
    if nothing were missing. ``fault`` is an item that takes the place of the others.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = '{"ok": true}'
    finish_reason: str = "stop"
    usage: Mapping[str, Any] | None = None
    pause_seconds: float = 0.0
    cut: int | None = None
    ends: int | None = None
    fault: Mapping[str, Any] | None = None


class Provider:
    """Answers from ``answers`` as long as there are any, then with all well."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: deque[Answer] = deque()
        self.requests: list[dict[str, Any]] = []

    def forget(self) -> None:
        """Begin anew for another test."""
        self.answers.clear()
        self.requests.clear()


@asynccontextmanager
async def providing() -> AsyncGenerator[Provider]:
    """Serve a provider; ``url`` is its base URL."""
    app = Starlette(
        routes=[
            Route("/v1/chat/completions", _chat, methods=["POST"]),
            Route("/openai/deployments/{name}/chat/completions", _chat, methods=["POST"]),
            Route("/v1/completions", _completion, methods=["POST"]),
            Route("/v1/responses", _response, methods=["POST"]),
            Route("/v1/embeddings", _embedding, methods=["POST"]),
            Route("/v1/models", _models),
        ]
    )
    async with serving(app) as address:
        app.state.provider = Provider(f"{address}/v1")
        yield app.state.provider


async def _taken(request: Request) -> tuple[dict[str, Any], Answer]:
    provider: Provider = request.app.state.provider
    body: dict[str, Any] = await request.json()
    provider.requests.append(body)
    answer = provider.answers.popleft() if provider.answers else Answer()
    if not body.get("stream"):
        await asyncio.sleep(answer.pause_seconds)
    return body, answer


def _refusal(answer: Answer) -> Response:
    error = {"message": "not now", "type": "some_error", "param": None, "code": None}
    return JSONResponse({"error": error}, answer.status, answer.headers)


def _stream(items: list[dict[str, Any]], answer: Answer) -> Response:
    async def lines() -> AsyncGenerator[str]:
        await asyncio.sleep(answer.pause_seconds)
        for number, item in enumerate([answer.fault] if answer.fault else items):
            if number == answer.cut:
                raise ConnectionResetError("cut by the test")
            if number == answer.ends:
                return
            named = f"event: {item['type']}\n" if item and "type" in item else ""
            yield f"{named}data: {json.dumps(item)}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream")


async def _chat(request: Request) -> Response:
    body, answer = await _taken(request)
    if answer.status != 200:
        return _refusal(answer)
    usage = CHAT_USAGE if answer.usage is None else answer.usage
    if body.get("stream"):
        wanted = (body.get("stream_options") or {}).get("include_usage")
        return _stream(_chat_chunks(answer, usage if wanted else None), answer)
    message = {"role": "assistant", "content": answer.text}
    choice = {"index": 0, "message": message, "finish_reason": answer.finish_reason}
    return JSONResponse(
        {
            "id": "c-1",
            "object": "chat.completion",
            "created": 1,
            "model": MODEL,
            "choices": [choice],
            "usage": usage,
        }
    )


def _chat_chunks(answer: Answer, usage: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    def chunk(choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        head = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
        return {**head, "choices": choices, "usage": None, **more}

    def choice(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
        return {"index": 0, "delta": delta, "finish_reason": finish_reason}

    half = len(answer.text) // 2
    chunks = [
        chunk([choice({"role": "assistant", "content": ""})]),
        chunk([choice({"content": answer.text[:half]})]),
        chunk([choice({"content": answer.text[half:]})]),
        chunk([choice({}, answer.finish_reason)]),
    ]
    return chunks if usage is None else [*chunks, chunk([], usage=usage)]


async def _completion(request: Request) -> Response:
    _, answer = await _taken(request)
    choice = {"index": 0, "text": answer.text, "finish_reason": "stop", "logprobs": None}
    head = {"id": "t-1", "object": "text_completion", "created": 1, "model": MODEL}
    return JSONResponse({**head, "choices": [choice], "usage": CHAT_USAGE})


async def _embedding(request: Request) -> Response:
    _, answer = await _taken(request)
    if answer.status != 200:
        return _refusal(answer)
    vector = {"object": "embedding", "index": 0, "embedding": [0.6, 0.8]}
    return JSONResponse(
        {"object": "list", "data": [vector], "model": "e-5", "usage": EMBEDDING_USAGE}
    )


async def _models(_: Request) -> Response:
    model = {"id": MODEL, "object": "model", "created": 1, "owned_by": "us"}
    return JSONResponse({"object": "list", "data": [model]})


async def _response(request: Request) -> Response:
    body, answer = await _taken(request)
    if answer.status != 200:
        return _refusal(answer)
    if not body.get("stream"):
        return JSONResponse(_response_object(answer, done=True))
    return _stream(_response_events(answer), answer)


def _response_object(answer: Answer, *, done: bool) -> dict[str, Any]:
    content = {"type": "output_text", "text": answer.text, "annotations": []}
    message = {"type": "message", "id": "m-1", "role": "assistant", "status": "completed"}
    failed = answer.finish_reason == "failed"
    return {
        "id": "r-1",
        "object": "response",
        "created_at": 1,
        "model": MODEL,
        "status": ("failed" if failed else "completed") if done else "in_progress",
        "error": {"code": "server_error", "message": "it broke"} if failed and done else None,
        "output": [{**message, "content": [content]}] if done else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": RESPONSE_USAGE if done else None,
    }


def _response_events(answer: Answer) -> list[dict[str, Any]]:
    where = {"item_id": "m-1", "output_index": 0, "content_index": 0}
    item = {"type": "message", "id": "m-1", "role": "assistant", "status": "in_progress"}
    part = {"type": "output_text", "text": "", "annotations": []}
    last = "response.failed" if answer.finish_reason == "failed" else "response.completed"
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": _response_object(answer, done=False)},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**item, "content": []},
        },
        {"type": "response.content_part.added", **where, "part": part},
        {"type": "response.output_text.delta", **where, "delta": answer.text, "logprobs": []},
        {"type": last, "response": _response_object(answer, done=True)},
    ]
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]
