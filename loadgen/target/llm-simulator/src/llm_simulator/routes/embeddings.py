"""``POST /v1/embeddings``."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from llm_simulator import tokens
from llm_simulator.provider import Call
from llm_simulator.routes.chat import answer_headers
from llm_simulator.routes.leaving import unless_gone
from llm_simulator.state import State
from llm_simulator.wire import embeddings as wire
from llm_simulator.wire.embeddings import EmbeddingsRequest
from llm_simulator.wire.errors import bad_value
from windsock_kit.body import read_body
from windsock_kit.responses import json


async def embeddings(request: Request[State]) -> Response:
    """Place texts."""
    limit = request.state["max_body_bytes"]
    body = await read_body(request, max_bytes=limit, max_decompressed_bytes=limit)
    asked = wire.parse(body)
    call = Call(asked.model, asked.key, await _count(asked))
    return await unless_gone(request.receive, _embedded(request.state, asked, call))


async def _count(asked: EmbeddingsRequest) -> int:
    total = 0
    for index, text in enumerate(asked.texts):
        count = len(await tokens.encode_politely(text))
        if count > asked.model.max_input_tokens:
            raise bad_value(
                f"This model takes {asked.model.max_input_tokens} tokens; input {index} has {count}.",
                "input",
                "context_length_exceeded",
            )
        total += count
    return total


async def _embedded(state: State, asked: EmbeddingsRequest, call: Call) -> Response:
    provider = state["provider"]
    async with provider.serving(call) as turn:
        vectors = []
        for text in asked.texts:
            vectors.append(state["embedder"].place(asked.model, text, asked.dimensions))
            await asyncio.sleep(0)
        await turn.until(0)
        turn.end(0)
    content = wire.answer(asked, vectors, call.input_tokens)
    return json(content, headers=answer_headers(provider, turn, 0))


routes = [Route("/v1/embeddings", embeddings, methods=["POST"])]
