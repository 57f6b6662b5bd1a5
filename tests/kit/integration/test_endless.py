"""Answers without an end, on our own server and on another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from windsock_kit.asgi import Connection, connection_of
from windsock_kit.testing import serving


class Endless:
    """An application whose answer goes on until somebody sets ``over``."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.ended = asyncio.Event()
        self.connection: Connection | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await lifespan(receive, send)
            return
        self.connection = connection_of(scope)
        assert self.connection is not None
        if scope["path"] == "/told":
            self.connection.at_shutdown(self.over.set)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await self.over.wait()
        await send({"type": "http.response.body", "body": b"y", "more_body": False})
        self.ended.set()


async def lifespan(receive: Receive, send: Send) -> None:
    for stage in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{stage}.complete"})


async def test_a_server_that_stops_has_told_answers_end_first() -> None:
    app = Endless()
    async with httpx.AsyncClient() as client:
        async with serving(app) as url:
            answer = await client.send(client.build_request("GET", f"{url}/told"), stream=True)
        body = await answer.aread()

    assert body == b"xy"


async def test_what_a_request_has_left_is_not_called_for_the_next() -> None:
    app = Endless()
    async with httpx.AsyncClient() as client, serving(app) as url:
        app.over.set()
        await client.get(f"{url}/told")
        app.over.clear()
        answer = await client.send(client.build_request("GET", f"{url}/"), stream=True)
        connection = app.connection
        assert connection is not None
        shutdown: Callable[[], None] = connection.shutdown  # type: ignore[attr-defined]
        shutdown()
        called = app.over.is_set()
        app.over.set()
        await answer.aread()

    assert not called


async def test_a_connection_that_is_cut_is_closed_at_once() -> None:
    app = Endless()
    async with httpx.AsyncClient() as client, serving(app) as url:
        answer = await client.send(client.build_request("GET", f"{url}/"), stream=True)
        assert app.connection is not None

        app.connection.cut()

        with pytest.raises(httpx.RemoteProtocolError):
            await answer.aread()
        app.over.set()
        await asyncio.wait_for(app.ended.wait(), 20)


def test_another_server_has_no_connection_to_give() -> None:
    assert connection_of({"type": "http"}) is None
