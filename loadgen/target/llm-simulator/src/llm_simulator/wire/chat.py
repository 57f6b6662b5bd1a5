"""``POST /v1/chat/completions`` on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from llm_simulator.domain.catalogue import Model, Usage
from llm_simulator.wire.errors import bad_value
from llm_simulator.wire.reading import decode, key_of, model_of

_Unit = Annotated[float, Meta(ge=0, le=1)]
_Penalty = Annotated[float, Meta(ge=-2, le=2)]
_Stop = Annotated[str, Meta(min_length=1)]


class _TextPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: Literal["text"]
    text: str


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    role: Literal["developer", "system", "user", "assistant"]
    content: str | list[_TextPart] | None
    name: str | None = None
    refusal: None = None

    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class _JsonSchema(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]
    schema: dict[str, Any]
    strict: bool | None = None
    description: str | None = None


class _ResponseFormat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _JsonSchema | None = None


class _StreamOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    include_usage: bool = False
    include_obfuscation: bool = False


class _Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What decides the answer, and what clients send along without effect on it."""

    model: str
    messages: Annotated[list[_Message], Meta(min_length=1, max_length=2_048)]
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    response_format: _ResponseFormat | None = None
    stop: _Stop | Annotated[list[_Stop], Meta(max_length=4)] | None = None
    n: int | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: _Unit | None = None
    frequency_penalty: _Penalty | None = None
    presence_penalty: _Penalty | None = None
    seed: int | None = None
    reasoning_effort: str | None = None


class ChatBody(_Content, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The parts of a request that another one with the same content may have otherwise."""

    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A question to a model. ``messages`` are roles and texts; ``schema`` is what the answer must fit."""

    model: Model
    key: int
    messages: tuple[tuple[str, str], ...]
    wants_json: bool
    schema: Mapping[str, Any] | None
    max_tokens: int
    stop: tuple[str, ...]
    stream: bool
    include_usage: bool


_decoder = msgspec.json.Decoder(ChatBody)
_CONTENT_FIELDS = _Content.__struct_fields__


def parse(body: bytes) -> ChatRequest:
    """Decode a request; raises ``ApiError``."""
    asked = decode(_decoder, body)
    model = model_of(asked.model, "chat")
    if asked.n not in {None, 1}:
        raise bad_value("Only one choice is simulated: n must be 1.", "n", "unsupported_value")
    if asked.max_tokens and asked.max_completion_tokens:
        raise bad_value("Give max_tokens or max_completion_tokens, not both.", "max_tokens")
    stop = (asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ())
    most = asked.max_completion_tokens or asked.max_tokens or model.max_output_tokens
    return ChatRequest(
        model,
        key_of([getattr(asked, name) for name in _CONTENT_FIELDS]),
        tuple((message.role, message.text()) for message in asked.messages),
        wants_json=asked.response_format is not None and asked.response_format.type != "text",
        schema=_schema(asked.response_format),
        max_tokens=min(most, model.max_output_tokens),
        stop=stop,
        stream=bool(asked.stream),
        include_usage=_include_usage(asked),
    )


def _schema(wanted: _ResponseFormat | None) -> Mapping[str, Any] | None:
    if wanted is None or wanted.type != "json_schema":
        return None
    if wanted.json_schema is None:
        param = "response_format.json_schema"
        raise bad_value(
            f"Missing required parameter: '{param}'.", param, "missing_required_parameter"
        )
    return wanted.json_schema.schema


def _include_usage(asked: ChatBody) -> bool:
    if asked.stream_options is None:
        return False
    if not asked.stream:
        raise bad_value("stream_options is allowed with stream only.", "stream_options")
    return asked.stream_options.include_usage


@dataclass(frozen=True, slots=True)
class Head:
    """What all parts of one answer have in common."""

    id: str
    created: int
    model: str
    fingerprint: str


def completion(head: Head, text: str, finish_reason: str, usage: Usage) -> dict[str, Any]:
    """Return a whole answer."""
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
    return _envelope(head, "chat.completion", [choice]) | {"usage": usage_out(usage)}


def usage_out(usage: Usage) -> dict[str, Any]:
    """Return OpenAI's form of a usage."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


class Chunks:
    """The server-sent events of one answer."""

    def __init__(self, head: Head, *, include_usage: bool) -> None:
        self._head = head
        # With usage asked for, every chunk has the member: null but in the last.
        self._usage: dict[str, Any] = {"usage": None} if include_usage else {}

    def role(self) -> bytes:
        """Return the first event."""
        return self._event({"role": "assistant", "content": "", "refusal": None}, None)

    def text(self, portion: str) -> bytes:
        """Return an event with a portion of the answer."""
        return self._event({"content": portion}, None)

    def end(self, finish_reason: str, usage: Usage) -> bytes:
        """Return the last events."""
        last = self._event({}, finish_reason)
        if self._usage:
            whole = _envelope(self._head, "chat.completion.chunk", [])
            last += _event(whole | {"usage": usage_out(usage)})
        return last + b"data: [DONE]\n\n"

    def _event(self, delta: dict[str, Any], finish_reason: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _event(_envelope(self._head, "chat.completion.chunk", [choice]) | self._usage)


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(content) + b"\n\n"


def _envelope(head: Head, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": head.id,
        "object": kind,
        "created": head.created,
        "model": head.model,
        "choices": choices,
        "system_fingerprint": head.fingerprint,
        "service_tier": "default",
    }
