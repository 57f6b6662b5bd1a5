"""The stream as clients have it: over sockets, from a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import httpx
import pytest
import pytest_asyncio

from flags_svc.domain.flag import Environment, InEnvironment
from flags_svc.domain.world import Edit
from flags_svc.live import hub as hubs
from tests.flags_svc.processes import Process, a_process, served
from tests.flags_svc.replicas import ANN, a_flag, an_edit, wish
from tests.flags_svc.streams import following
from tests.flags_svc.waiting import until

PRODUCTION = Edit("environment", "production", Environment("production"), "create")
ON = an_edit(a_flag("f", environments={"production": InEnvironment(True)}))
OFF = an_edit(a_flag("f"))
FOLLOWERS = 100


@pytest_asyncio.fixture
async def process(flags_url: str, pool: Any) -> AsyncGenerator[Process]:
    async with a_process(flags_url) as made:
        await made.editor.edit(wish(PRODUCTION, OFF), ANN)
        yield made


@pytest_asyncio.fixture
async def url(process: Process) -> AsyncGenerator[str]:
    async with served(process.parts) as address:
        yield address


async def test_a_stream_begins_with_everything_and_goes_on_with_changes(
    process: Process, url: str
) -> None:
    async with following(url) as stream:
        snapshot = await stream.next()
        await process.editor.edit(wish(ON), ANN)
        change = await stream.next()

    headers = stream.response.headers
    assert headers["content-type"].startswith("text/event-stream")
    assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-store", "no")
    assert (snapshot.kind, snapshot.data["revision"]) == ("snapshot", 2)
    assert (change.kind, change.data["previous"]) == ("change", 2)
    assert [flag["key"] for flag in change.data["flags"]] == ["f"]
    assert change.id == process.replica.event_id


async def test_who_comes_back_is_sent_what_it_missed(process: Process, url: str) -> None:
    async with following(url) as stream:
        before = (await stream.next()).id
    await until(lambda: len(process.parts.hub) == 0)
    await process.editor.edit(wish(ON), ANN)

    async with following(url, last_event_id=before) as stream:
        missed = await stream.next()

    assert (missed.kind, missed.data["previous"], missed.data["revision"]) == ("change", 2, 3)


async def test_many_followers_are_all_sent_every_change(process: Process, url: str) -> None:
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(following(url)) for _ in range(FOLLOWERS)]
        for stream in streams:
            await stream.next("snapshot")
        for edit in (ON, OFF):
            await process.editor.edit(wish(edit), ANN)
            changes = [await stream.next("change") for stream in streams]

            assert {change.id for change in changes} == {process.replica.event_id}
    await until(lambda: len(process.parts.hub) == 0)


async def test_what_is_asked_wrongly_is_refused(url: str) -> None:
    path = "/api/feature-flags/stream"
    async with httpx.AsyncClient(base_url=url) as client:
        unknown = await client.get(path, params={"environment": "nowhere"})
        wrong = await client.get(path, params={"env": "production"})
        head = await client.head(path)

    assert (unknown.status_code, unknown.json()["allowed"]) == (404, ["production"])
    assert (wrong.status_code, wrong.json()["path"]) == (422, "env")
    assert (head.status_code, head.content) == (200, b"")


async def test_a_server_that_stops_ends_its_streams(process: Process) -> None:
    async with AsyncExitStack() as serving:
        url = await serving.enter_async_context(served(process.parts))
        async with following(url) as stream:
            await stream.next()
            stopping = asyncio.create_task(serving.aclose())
            with pytest.raises(EOFError):
                await stream.next("change")
            await stopping


async def test_a_client_that_takes_nothing_is_cut_off_and_harms_nobody(
    process: Process, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(url.rpartition(":")[2])
    _, stuck = await asyncio.open_connection("127.0.0.1", port, limit=1)
    stuck.write(b"GET /api/feature-flags/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await until(lambda: len(process.parts.hub) == 1)
    (subscription,) = process.parts.hub._subscriptions
    async with following(url) as stream:
        await stream.next("snapshot")
        # Until no buffer between here and the client holds any more.
        while subscription.taking_since is None:
            await process.editor.edit(wish(a_big_flag()), ANN)
            await stream.next("change")
        monkeypatch.setattr(hubs, "PATIENCE_SECONDS", -1.0)
        await until(
            lambda: (
                len([each for each in process.parts.hub._subscriptions if each.taking_since]) == 1
            )
        )
        await process.parts.hub.beat()
        await until(lambda: len(process.parts.hub) == 1)

        await process.editor.edit(wish(ON), ANN)
        assert (await stream.next("change")).id == process.replica.event_id
    stuck.close()


def a_big_flag() -> Edit:
    return an_edit(replace(a_flag("big"), type="string", variants={"on": "x" * 2**20, "off": ""}))
