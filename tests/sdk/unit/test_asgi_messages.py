"""What the middleware makes of messages that real servers send seldom."""

import asyncio
import contextvars
import types
from collections.abc import Awaitable, Callable, Generator
from typing import Any, NoReturn

import pytest

import windsock
from windsock.ambient import OPERATION
from windsock.integrations.asgi import WindsockMiddleware
from windsock.testing import Captured


async def raw(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"raw"})


async def call(
    app: Callable[..., Awaitable[None]], messages: list[dict[str, Any]], **scope: Any
) -> list[Any]:
    sent = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    usual = {"type": "http", "method": "GET", "path": "/some/path", "headers": []}
    await WindsockMiddleware(app)({**usual, **scope}, receive, send)
    return sent


async def test_a_websocket_passes_through(captured: Captured) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.close"})

    sent = await call(app, [{"type": "websocket.connect"}], type="websocket")

    assert sent == [{"type": "websocket.close"}]
    assert captured.events == []


async def test_an_application_without_routes_is_unmatched(captured: Captured) -> None:
    await call(raw, [])

    assert [event["operation"] for event in captured.events] == ["GET unmatched"]


async def test_an_answer_that_never_ends_is_an_error(captured: Captured) -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None: ...

    async def half(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})

    await call(silent, [])
    await call(half, [])

    assert [event["error_type"] for event in captured.events] == ["IncompleteResponse"] * 2


async def test_an_empty_piece_is_no_first_byte(captured: Captured) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"", "more_body": True})

    await call(app, [])

    assert captured.events[0]["attributes"] == {"http_status": 200}


async def test_what_is_recorded_after_a_request_is_not_its_own(captured: Captured) -> None:
    await call(raw, [], headers=[(b"x-user-id", b"u-1")])

    windsock.get_metrics_collector().record_quality("after", 5)
    request, after = captured.events
    assert request["user_id"] == "u-1"
    assert "user_id" not in after
    assert OPERATION.get() is None


async def test_a_cancelled_request_is_an_error_unless_the_client_has_left(
    captured: Captured,
) -> None:
    async def cancelled(scope: Any, receive: Any, send: Any) -> NoReturn:
        await receive()
        raise asyncio.CancelledError

    for message in ("http.request", "http.disconnect"):
        with pytest.raises(asyncio.CancelledError):
            await call(cancelled, [{"type": message}])

    waiting, left = captured.events
    assert (waiting["status"], waiting["error_type"]) == ("error", "CancelledError")
    assert (left["status"], left["attributes"]) == ("ok", {"client_disconnected": True})


@types.coroutine
def pause() -> Generator[None]:
    yield


def test_a_request_may_be_closed_in_another_context(captured: Captured) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await pause()

    request = call(app, [])
    contextvars.copy_context().run(request.send, None)
    request.close()

    assert [event["operation"] for event in captured.events] == ["GET unmatched"]


def test_a_header_that_is_too_long_is_cut_and_counted(captured: Captured) -> None:
    asyncio.run(call(raw, [], headers=[(b"x-user-id", b"u" * 201)]))

    assert len(captured.events[0]["user_id"]) == 200
    assert captured.stats().truncated == 1


async def test_a_bug_is_an_error_even_if_the_client_has_left(captured: Captured) -> None:
    async def buggy(scope: Any, receive: Any, send: Any) -> NoReturn:
        await receive()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await call(buggy, [{"type": "http.disconnect"}])

    assert captured.events[0]["error_type"] == "ZeroDivisionError"


async def test_a_connection_that_refuses_the_answer_is_a_client_that_left(
    captured: Captured,
) -> None:
    async def refuse(message: Any) -> NoReturn:
        raise BrokenPipeError

    async def receive() -> NoReturn:
        raise AssertionError

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with pytest.raises(BrokenPipeError):
        await WindsockMiddleware(raw)(scope, receive, refuse)

    assert captured.events[0]["attributes"] == {"client_disconnected": True}


def test_a_server_stops_even_if_its_threads_are_gone(captured: Captured) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.get_running_loop().shutdown_default_executor()
        await send({"type": "lifespan.shutdown.complete"})

    sent = asyncio.run(call(app, [], type="lifespan"))

    assert sent == [{"type": "lifespan.shutdown.complete"}]
