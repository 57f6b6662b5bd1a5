"""The provider of models: any endpoint that speaks OpenAI's protocol."""

from __future__ import annotations

import asyncio
import math
from array import array
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from http import HTTPStatus
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

import msgspec
import openai
from httpx2 import Response
from msgspec import Meta
from openai.types.chat import ChatCompletionMessageParam

from adaptive_questions.domain.result import (
    BadAnswerError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnreachableError,
    RateLimitedError,
    WorkloadError,
)
from adaptive_questions.prompts.forms import Form, Part
from windsock.integrations.openai import instrument_openai

P = TypeVar("P", bound=Part)
S = TypeVar("S", bound=msgspec.Struct)
Hear = Callable[[str], None]

_THIS_MACHINE = frozenset({"127.0.0.1", "::1", "localhost"})
_MAX_RETRIES = 2
_MAX_SAID = 300
_limited: ContextVar[list[float | None] | None] = ContextVar("limited", default=None)


class _Text(msgspec.Struct, frozen=True):
    content: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Text


class _Completion(msgspec.Struct, frozen=True):
    choices: Annotated[list[_Choice], Meta(min_length=1)]


class _PartOfChoice(msgspec.Struct, frozen=True):
    delta: _Text | None


class _Chunk(msgspec.Struct, frozen=True):
    choices: list[_PartOfChoice] | None


class _Embedding(msgspec.Struct, frozen=True):
    index: int | None
    embedding: Annotated[list[float], Meta(min_length=1)]


class _Embeddings(msgspec.Struct, frozen=True):
    data: list[_Embedding]


class Provider:
    """Makes the model calls of this process, ``max_calls`` at a time, each of bounded duration.

    Every call is recorded by the SDK. Failures are raised as ``WorkloadError``.
    """

    def __init__(
        self, *, base_url: str, api_key: str, name: str, timeout_seconds: float, max_calls: int
    ) -> None:
        http = openai.DefaultAsyncHttpxClient(
            event_hooks={"response": [_note_limit]},
            # A proxy that the environment names cannot reach what is on this machine.
            trust_env=urlsplit(base_url).hostname not in _THIS_MACHINE,
        )
        client = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=api_key,
            timeout=timeout_seconds,
            max_retries=_MAX_RETRIES,
            http_client=http,
        )
        self._client = instrument_openai(client, provider=name)
        self._timeout_seconds = timeout_seconds
        self._turns = asyncio.Semaphore(max_calls)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def chat(
        self,
        messages: Sequence[ChatCompletionMessageParam],
        ids: Sequence[str],
        form: Form[P],
        *,
        model: str,
        hear: Hear | None = None,
    ) -> list[P]:
        """Return the model's answer, one part for each of ``ids``.

        An answer that cannot be used is asked for once more. ``hear`` is told the pieces of the
        first one as they come.
        """
        try:
            return form.read(await self._text(messages, form, model, hear), ids)
        except BadAnswerError:
            return form.read(await self._text(messages, form, model, None), ids)

    async def embed(self, texts: Sequence[str], *, model: str) -> list[array[float]]:
        """Return a vector for each of ``texts``, in their order."""
        async with self._turn():
            answer = await self._client.embeddings.create(model=model, input=list(texts))
            found = _checked(answer, _Embeddings).data
        if len(found) != len(texts):
            raise BadAnswerError("the provider's answer has not one vector for each text")
        # Some providers leave the index of an only one out.
        found.sort(key=lambda each: each.index or 0)
        return [array("f", each.embedding) for each in found]

    async def _text(
        self,
        messages: Sequence[ChatCompletionMessageParam],
        form: Form[P],
        model: str,
        hear: Hear | None,
    ) -> str:
        async with self._turn():
            if hear is not None:
                return await self._heard(messages, form, model, hear)
            answer = await self._client.chat.completions.create(
                model=model, messages=messages, response_format=form.response_format
            )
            return _checked(answer, _Completion).choices[0].message.content or ""

    async def _heard(
        self,
        messages: Sequence[ChatCompletionMessageParam],
        form: Form[P],
        model: str,
        hear: Hear,
    ) -> str:
        pieces = []
        stream = await self._client.chat.completions.create(
            model=model,
            messages=messages,
            response_format=form.response_format,
            stream=True,
            stream_options={"include_usage": True},
        )
        async with stream:
            async for chunk in stream:
                choices = _checked(chunk, _Chunk).choices
                delta = choices[0].delta if choices else None
                if delta is not None and delta.content:
                    pieces.append(delta.content)
                    hear(delta.content)
        return "".join(pieces)

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None]:
        """Wait for a turn, bound the time of what is done in it, and name its failures."""
        limits: list[float | None] = []
        token = _limited.set(limits)
        try:
            async with asyncio.timeout(self._timeout_seconds), self._turns:
                yield
        except TimeoutError as error:
            # The client waits as long as the provider asks it to, which can be longer than we may.
            if limits:
                raise RateLimitedError(
                    "the provider limits the rate of calls", limits[-1]
                ) from error
            raise ProviderTimeoutError(
                f"the provider took longer than {self._timeout_seconds:g} s"
            ) from error
        except openai.APIError as error:
            raise _named(error) from error
        except ValueError as error:
            # JSON that is none or of another form, in the body or in an event of a stream.
            raise BadAnswerError("the provider's answer cannot be read") from error
        finally:
            _limited.reset(token)


def _checked(answer: object, form: type[S]) -> S:
    """Return what ``form`` names of ``answer``; raises ``ValueError``.

    The client checks no types, and hands on what is no JSON as text.
    """
    return msgspec.convert(answer, form, from_attributes=True)


async def _note_limit(response: Response) -> None:
    limits = _limited.get()
    if response.status_code == 429 and limits is not None:
        limits.append(_retry_after(response))


def _named(error: openai.APIError) -> WorkloadError:
    """Return ``error`` under the name that users are told; what it says of the API key is left out."""
    if isinstance(error, openai.APITimeoutError):
        return ProviderTimeoutError("the provider did not answer in time")
    if isinstance(error, openai.APIConnectionError):
        return ProviderUnreachableError("there is no connection to the provider, or it broke")
    if isinstance(error, openai.RateLimitError):
        return RateLimitedError(
            "the provider limits the rate of calls", _retry_after(error.response)
        )
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        return ProviderError("the provider does not accept the API key")
    if isinstance(error, openai.APIStatusError):
        said = f"the provider answered {error.status_code}{_said(error)}"
        away = error.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        kind = ProviderUnreachableError if away else ProviderError
        return kind(said, _retry_after(error.response))
    return ProviderError(f"the provider broke off{_said(error)}")


def _said(error: openai.APIError) -> str:
    body = error.body
    message = body.get("message") if isinstance(body, dict) else None
    return f": {message[:_MAX_SAID]}" if isinstance(message, str) else ""


def _retry_after(response: Response) -> float | None:
    """Return the Retry-After of ``response`` in seconds; as a date it is left to the client."""
    try:
        seconds = float(response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
