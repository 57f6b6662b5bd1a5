"""Records the calls of an OpenAI client, also of one for any other provider that speaks the same."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import openai

from windsock.ambient import OPERATION
from windsock.counters import log
from windsock.integrations._openai_call import ENDPOINTS, Call
from windsock.integrations._openai_streams import (
    end_when_closed,
    end_when_left,
    record_stream,
)
from windsock.integrations._providers import host_of, provider_of
from windsock.integrations._recording import named_provider, quietly

_C = TypeVar("_C")
_RAW_RESPONSE_HEADER = "X-Stainless-Raw-Response"
# They stream their usage unasked, and refuse a request that asks.
_UNASKED = frozenset({"mistral"})


def instrument_openai(
    client: _C, *, provider: str | None = None, operation: str | None = None
) -> _C:
    """Record every model call of ``client`` from now on, and return it.

    Recorded are chat completions, responses, embeddings and legacy completions, however they
    are called: ``create``, ``parse``, ``stream``, raw and streaming responses, and clients made
    by ``with_options``. No other client is touched, and a second time changes nothing.

    ``provider`` is the name to look prices up under; else the base URL tells it. ``operation``
    is that of the events; else it is that of the node or request around the call, else ``chat``,
    ``responses``, ``embeddings`` or ``completions``.
    """
    if not isinstance(client, openai.OpenAI | openai.AsyncOpenAI):
        log.warning("%s is no client of openai, its calls are not recorded", type(client).__name__)
        return client
    if "_windsock" not in vars(client):
        watch = _Watch(client, provider, operation)
        again = functools.partial(instrument_openai, provider=provider, operation=operation)
        copied = _then(again, client.copy)
        request = _recorded_async if isinstance(client, openai.AsyncOpenAI) else _recorded
        vars(client).update(
            request=request(client, watch), copy=copied, with_options=copied, _windsock=watch
        )
    return client


class _Watch:
    """What the calls of one client have in common."""

    def __init__(
        self,
        client: openai.OpenAI | openai.AsyncOpenAI,
        provider: str | None,
        operation: str | None,
    ) -> None:
        self._client = client
        self._provider = provider
        self._operation = operation

    def begin(self, options: Any, stream: bool) -> tuple[Call | None, Any]:
        """Return the call that ``options`` ask for, or ``None``, and the options to send instead."""
        with quietly("openai"):
            endpoint = ENDPOINTS.get(options.url)
            if endpoint is None or options.method.lower() != "post":
                return None, options
            body = options.json_data if isinstance(options.json_data, Mapping) else {}
            model = body.get("model")
            known, provider = self._name_provider()
            operation = self._operation or OPERATION.get() or endpoint.operation
            call = Call(endpoint, operation, provider, model if isinstance(model, str) else None)
            options = copy.copy(options)
            if (
                stream
                and endpoint.by_chunks
                and _mode(options) != "stream"
                and known not in _UNASKED
            ):
                call.hides_usage = _ask_for_usage(options, body)
            options.post_parser = _seen(call, options.post_parser)
            return call, options
        return None, options

    def _name_provider(self) -> tuple[str | None, str | None]:
        known = self._provider
        url = str(self._client.base_url)
        if known is None:
            azure = isinstance(self._client, openai.AzureOpenAI | openai.AsyncAzureOpenAI)
            known = "azure" if azure else provider_of(url)
        return known, named_provider(known, host_of(url))


def _recorded(client: Any, watch: _Watch) -> Callable[..., Any]:
    request = client.request

    @functools.wraps(request)
    def recorded(
        cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None
    ) -> Any:
        call, options = watch.begin(options, stream)
        if call is None:
            return request(cast_to, options, stream=stream, stream_cls=stream_cls)
        try:
            answer = request(cast_to, options, stream=stream, stream_cls=stream_cls)
        except BaseException as error:
            call.failed(error)
            raise
        _came(call, answer, _mode(options), stream=stream)
        return answer

    return recorded


def _recorded_async(client: Any, watch: _Watch) -> Callable[..., Any]:
    request = client.request

    @functools.wraps(request)
    async def recorded(
        cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None
    ) -> Any:
        call, options = watch.begin(options, stream)
        if call is None:
            return await request(cast_to, options, stream=stream, stream_cls=stream_cls)
        try:
            answer = await request(cast_to, options, stream=stream, stream_cls=stream_cls)
        except BaseException as error:
            call.failed(error)
            raise
        _came(call, answer, _mode(options), stream=stream)
        return answer

    return recorded


def _then(next_step: Callable[[Any], Any], function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def both(*args: Any, **kwargs: Any) -> Any:
        return next_step(function(*args, **kwargs))

    return both


def _seen(call: Call, parser: Any) -> Callable[[Any], Any]:
    # The client hands every answer to this function before the caller gets it, also when a raw
    # response is parsed later, and before a parser of its own may refuse it.
    def see(answer: Any) -> Any:
        with quietly("openai"):
            if not record_stream(answer, call):
                call.answered(answer)
        return parser(answer) if callable(parser) else answer

    return see


def _came(call: Call, answer: Any, mode: object, *, stream: bool) -> None:
    """Decide when the call ends whose request has returned."""
    with quietly("openai"):
        if mode == "stream":
            end_when_left(answer, call)
        elif stream:
            end_when_closed(answer.http_response if mode else answer.response, call)
        else:
            if mode:
                # The client remembers it, so that the caller's own ``parse`` costs nothing more;
                # what it raises, the caller meets there.
                with suppress(Exception):
                    answer.parse()
            call.finished()


def _mode(options: Any) -> object:
    """Return ``true`` for a raw response, ``stream`` for one whose body is not read, else ``None``."""
    headers = options.headers
    return headers.get(_RAW_RESPONSE_HEADER) if isinstance(headers, Mapping) else None


def _ask_for_usage(options: Any, body: Mapping[str, Any]) -> bool:
    """Ask for the usage of a stream, unless the caller has said whether it should come."""
    for given in (options.extra_json, body):
        wanted = given.get("stream_options") if isinstance(given, Mapping) else None
        if isinstance(wanted, Mapping) and "include_usage" in wanted:
            return False
    told = body.get("stream_options") or {}
    options.json_data = {**body, "stream_options": {**told, "include_usage": True}}
    return True
