"""``POST /v1/chat/completions``, plain and streamed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from llm_simulator import tokens
from llm_simulator.answers.composer import Composer, Prompt, Reply
from llm_simulator.answers.task import Task, TaskError, find_task
from llm_simulator.domain.catalogue import Usage
from llm_simulator.domain.prompt_cache import prefixes
from llm_simulator.provider import Call, Provider, Turn
from llm_simulator.routes.leaving import unless_gone
from llm_simulator.state import State
from llm_simulator.wire import chat as wire
from llm_simulator.wire.chat import ChatRequest
from llm_simulator.wire.errors import bad_value
from windsock_kit.body import read_body

# OpenAI's count for its chat models: three tokens around each message, and three that open the answer.
_AROUND_MESSAGE = tokens.encode("<|im_start|>")[:3]
_OPENING = 3
# Tokens come in small groups, as they do from providers that batch them.
_PORTION_TOKENS = 4


async def completions(request: Request[State]) -> Response:
    """Answer a chat; waiting and writing are the answer's own."""
    state = request.state
    limit = state["max_body_bytes"]
    body = await read_body(request, max_bytes=limit, max_decompressed_bytes=limit)
    asked = wire.parse(body)
    try:
        task = find_task(asked.messages)
    except TaskError as error:
        raise bad_value(str(error), "messages", "invalid_task") from None
    call = await _call(asked)
    return _Completion(asked, task, call, state["provider"], state["composer"])


async def _call(asked: ChatRequest) -> Call:
    """Count the prompt. A schema counts as its first part, as OpenAI documents."""
    parts = []
    if asked.schema is not None:
        parts.append(await tokens.encode_politely(msgspec.json.encode(asked.schema).decode()))
    for role, text in asked.messages:
        parts.append(_AROUND_MESSAGE)
        parts.append(tokens.encode(role))
        parts.append(await tokens.encode_politely(text))
    total = sum(map(len, parts)) + _OPENING
    if total > asked.model.max_input_tokens:
        raise bad_value(
            f"This model takes {asked.model.max_input_tokens} tokens; the messages have {total}.",
            "messages",
            "context_length_exceeded",
        )
    return Call(asked.model, asked.key, total, prefixes(asked.model.name, parts))


@dataclass(frozen=True, slots=True)
class _Written:
    """An answer as it will be sent."""

    head: wire.Head
    reply: Reply
    usage: Usage
    headers: Mapping[str, str]


class _Completion(Response):
    """An answer that holds a slot while it is waited for, and gives it back when its client leaves."""

    def __init__(
        self,
        asked: ChatRequest,
        task: Task | None,
        call: Call,
        provider: Provider,
        composer: Composer,
    ) -> None:
        super().__init__()
        self._asked = asked
        self._task = task
        self._call = call
        self._provider = provider
        self._composer = composer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, write, book. Raises ``ApiError`` before anything is sent."""
        if not self._asked.stream:
            response = await unless_gone(receive, self._whole())
            await response(scope, receive, send)
            return
        # An answer that has begun cannot become another one.
        with suppress(ClientDisconnect):
            await unless_gone(receive, self._stream(send))

    async def _whole(self) -> Response:
        async with self._provider.serving(self._call) as turn:
            written = self._write(turn)
            await turn.until(written.usage.output_tokens)
            turn.end(written.usage.output_tokens)
        reply = written.reply
        content = wire.completion(written.head, reply.text, reply.finish_reason, written.usage)
        return Response(msgspec.json.encode(content), 200, written.headers, "application/json")

    async def _stream(self, send: Send) -> None:
        async with self._provider.serving(self._call) as turn:
            written = self._write(turn)
            chunks = wire.Chunks(written.head, include_usage=self._asked.include_usage)
            total = written.usage.output_tokens
            allowed = total if turn.cut_at is None else int(total * turn.cut_at)

            await turn.until(0)
            await _begin(send, written.headers)
            await _send(send, chunks.role())
            for portion, count in tokens.portions(written.reply.text, _PORTION_TOKENS):
                if turn.output_tokens + count > allowed:
                    # Without its end, the server closes the connection: the client sees it break.
                    return
                await turn.until(turn.output_tokens + count)
                await _send(send, chunks.text(portion))
                turn.output_tokens += count
            turn.end(total)
        await _send(send, chunks.end(written.reply.finish_reason, written.usage), more=False)

    def _write(self, turn: Turn) -> _Written:
        asked = self._asked
        prompt = Prompt(
            asked.model, asked.messages, self._task, asked.schema,
            wants_json=asked.wants_json, quality_drop=turn.faults.quality_drop,
        )  # fmt: skip
        reply = self._composer.reply(prompt, max_tokens=asked.max_tokens, stop=asked.stop)
        usage = turn.usage(reply.tokens)
        head = wire.Head(
            id=f"chatcmpl-{self._call.key:016x}{turn.nth:x}",
            created=int(self._provider.wall().timestamp()),
            model=asked.model.name,
            fingerprint=f"fp_{self._provider.terms.seed:x}",
        )
        return _Written(head, reply, usage, answer_headers(self._provider, turn, reply.tokens))


def answer_headers(provider: Provider, turn: Turn, output_tokens: int) -> dict[str, str]:
    """Return what goes with every answer: the limits, and the latency as drawn, without the queue."""
    drawn = turn.latency.after_ms(output_tokens)
    return {**provider.rate_headers(), "x-simulated-latency-ms": f"{drawn:.3f}"}


async def _begin(send: Send, headers: Mapping[str, str]) -> None:
    whole = {
        **headers,
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
    }
    raw = [(name.encode(), value.encode()) for name, value in whole.items()]
    await send({"type": "http.response.start", "status": 200, "headers": raw})


async def _send(send: Send, event: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": event, "more_body": more})


routes = [Route("/v1/chat/completions", completions, methods=["POST"])]
