"""One call of the OpenAI client, from the request to whatever ended it."""

from __future__ import annotations

import json
import os
import sys
import threading
from asyncio import CancelledError
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

import openai

from windsock.integrations._recording import (
    STREAM_CUT,
    Fault,
    ModelCall,
    fault_of,
    quietly,
    usage_of_error,
)
from windsock.integrations._usage import Usage, field, openai_usage

_TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint whose calls are recorded, under ``operation`` where there is no better name.

    ``by_chunks`` streams chunks of choices and must be asked for its usage; else it streams events.
    """

    operation: str
    by_chunks: bool = False


ENDPOINTS = {
    "/chat/completions": Endpoint("chat", by_chunks=True),
    "/completions": Endpoint("completions", by_chunks=True),
    "/embeddings": Endpoint("embeddings"),
    "/responses": Endpoint("responses"),
}


class Call:
    """Gathers what is learnt of a call and records it once, when the first of its ends comes.

    A stream may be dropped without a word, so going out of existence is an end too, though not
    that of the copy in a forked child. What is recorded belongs to the context of the request,
    wherever the end comes.
    """

    def __init__(
        self, endpoint: Endpoint, operation: str, provider: str | None, model: str | None
    ) -> None:
        self._endpoint = endpoint
        self._operation = operation
        self._provider = provider
        self._requested = model
        self._model: str | None = None
        self._usage: Usage | None = None
        self._fault: Fault | None = None
        self._first_token_ms: float | None = None
        self._complete = False
        self._reading = False
        self._last_item_ns: int | None = None
        self._context: Context = copy_context()
        self._ended = threading.Lock()
        # Set where the usage was asked for in the caller's place, who expects no chunk for it.
        self.hides_usage = False
        self._process = os.getpid()
        self._start = perf_counter_ns()

    def __del__(self) -> None:
        if self._process == os.getpid():
            self.dropped()

    def answered(self, answer: object) -> None:
        """Note what an answer tells: model, usage, and whether a response failed."""
        with quietly("openai"):
            model = field(answer, "model")
            self._model = model if isinstance(model, str) and model else self._model
            self._usage = openai_usage(field(answer, "usage")) or self._usage
            if field(answer, "status") == "failed":
                error = field(answer, "error")
                self._fault = _fault(field(error, "code"), field(error, "message"))

    def read(self, response: Any) -> None:
        """Note what the body of ``response`` tells, of which the caller made no object."""
        # It is not there when the caller took it piece by piece, and may be no JSON.
        with suppress(RuntimeError, ValueError):
            self.answered(json.loads(response.content))

    def begins_reading(self) -> None:
        """Note that the client reads the stream now, and that it closes it when that ends."""
        self._reading = True

    def streamed(self, item: Any) -> bool:
        """Note what an item of the stream tells; return whether the caller should get it."""
        self._reading = False
        self._last_item_ns = perf_counter_ns()
        with quietly("openai"):
            if self._endpoint.by_chunks:
                return self._chunk(item)
            self._event(item)
        return True

    def ran_out(self) -> None:
        """End the call with its stream, which was cut if it had not come to its end."""
        if not self._complete and self._usage is None and self._fault is None:
            self._fault = Fault(STREAM_CUT, "the stream ended before its answer was complete")
        self.finished()

    def broke(self, error: BaseException) -> None:
        """End the call with what was raised while the stream was read."""
        with quietly("openai"):
            fault = fault_of(error)
            # A time-out is one too, and keeps its name.
            if type(error) is openai.APIConnectionError and fault is not None:
                fault = Fault(STREAM_CUT, fault.message)
            self._fault = fault
        self.finished()

    def failed(self, error: BaseException) -> None:
        """End the call with what the request raised."""
        with quietly("openai"):
            self._fault = fault_of(error)
            self._usage = self._usage or usage_of_error(error)
        self.finished()

    def closed(self) -> None:
        """End the call because its response is closed, unless the client itself does that."""
        if self._reading:
            return
        error = sys.exc_info()[1]
        if isinstance(error, CancelledError) and not self._complete:
            self.failed(error)
        else:
            self.dropped()

    def dropped(self) -> None:
        """End the call because nobody reads on, which may show long after the last item came."""
        self.finished(self._last_item_ns)

    def finished(self, at_ns: int | None = None) -> None:
        """End the call, at the moment ``at_ns`` or now, unless it has ended."""
        if self._ended.acquire(blocking=False):
            with quietly("openai"):
                self._context.run(self._record, self._elapsed_ms(at_ns))

    def _record(self, duration_ms: float) -> None:
        ModelCall(
            operation=self._operation,
            provider=self._provider,
            requested_model=self._requested,
            duration_ms=duration_ms,
            model=self._model,
            usage=self._usage,
            fault=self._fault,
            first_token_ms=self._first_token_ms,
        ).record()

    def _chunk(self, chunk: Any) -> bool:
        choices = field(chunk, "choices") or ()
        usage = field(chunk, "usage")
        if self._model is None or usage is not None:
            self.answered(chunk)
        for choice in choices:
            self._complete = self._complete or field(choice, "finish_reason") is not None
            if self._first_token_ms is None and _has_token(choice):
                self._first_token_ms = self._elapsed_ms()
        return not (self.hides_usage and usage is not None and not choices)

    def _event(self, event: Any) -> None:
        kind = field(event, "type")
        if kind in _TERMINAL:
            self._complete = True
            self.answered(field(event, "response"))
        elif kind == "error":
            self._fault = _fault(field(event, "code"), field(event, "message"))
        elif self._first_token_ms is None and isinstance(kind, str) and kind.endswith(".delta"):
            self._first_token_ms = self._elapsed_ms()

    def _elapsed_ms(self, at_ns: int | None = None) -> float:
        return ((perf_counter_ns() if at_ns is None else at_ns) - self._start) / 1e6


def _fault(code: object, message: object) -> Fault:
    return Fault(str(code or "error"), str(message or "") or None)


def _has_token(choice: object) -> bool:
    delta = field(choice, "delta")
    if delta is None:
        return bool(field(choice, "text"))
    # By its fields, for providers add some of their own, such as for reasoning.
    return any(value for name, value in dict(delta).items() if name != "role")
