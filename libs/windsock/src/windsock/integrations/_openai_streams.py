"""The client's streams, looked at while the caller reads them."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import openai

from windsock.integrations._openai_call import Call


class _RecordedStream(openai.Stream[Any]):
    _call: Call

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        call = self._call
        while True:
            call.begins_reading()
            try:
                item = super().__next__()
            except StopIteration:
                call.ran_out()
                raise
            except BaseException as error:
                call.broke(error)
                raise
            if call.streamed(item):
                return item


class _RecordedAsyncStream(openai.AsyncStream[Any]):
    _call: Call

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        call = self._call
        while True:
            call.begins_reading()
            try:
                item = await super().__anext__()
            except StopAsyncIteration:
                call.ran_out()
                raise
            except BaseException as error:
                call.broke(error)
                raise
            if call.streamed(item):
                return item


def record_stream(stream: object, call: Call) -> bool:
    """Let ``call`` see what the caller reads from ``stream``; return whether it is one.

    It stays the same object and gets another class: all that the client and the caller know of
    it holds. A stream of the caller's own class is left alone, and its tokens are unknown.
    """
    if type(stream) is openai.Stream:
        vars(stream)["_call"] = call
        stream.__class__ = _RecordedStream
    elif type(stream) is openai.AsyncStream:
        vars(stream)["_call"] = call
        stream.__class__ = _RecordedAsyncStream
    else:
        return False
    return True


def end_when_closed(response: Any, call: Call) -> None:
    """End ``call`` when ``response`` is closed, which all ways to stop reading early come down to.

    It is a response of the HTTP client, whose methods depend on which client that is.
    """
    for name in ("close", "aclose"):
        vars(response)[name] = _closing(getattr(response, name), call.closed)


def end_when_left(answer: Any, call: Call) -> None:
    """End ``call`` when ``answer``, a response that the caller reads in a block, is closed after it."""

    def left() -> None:
        call.read(answer.http_response)
        call.closed()

    vars(answer)["close"] = _closing(answer.close, left)


def _closing(close: Callable[[], Any], then: Callable[[], None]) -> Callable[[], Any]:
    if inspect.iscoroutinefunction(close):

        async def aclosing() -> None:
            try:
                await close()
            finally:
                then()

        return aclosing

    def closing() -> None:
        try:
            close()
        finally:
            then()

    return closing
