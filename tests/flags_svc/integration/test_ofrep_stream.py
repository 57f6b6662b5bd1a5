from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
import pytest
import structlog

from flags_svc.domain.flag import InEnvironment
from flags_svc.live.event_id import EventId
from tests.flags_svc.ofrep_app import EPOCH, LIFE_SECONDS, Memory, Scene, a_flag, a_scene, a_world
from tests.flags_svc.ofrep_schema import check_all, check_event
from tests.flags_svc.waiting import until
from windsock_kit import logs
from windsock_kit.testing import FakeClock, serving

DEADLINE = 20.0
ALL = "/ofrep/v1/evaluate/flags"


@dataclass
class Event:
    """One event as a browser would have it."""

    id: str
    data: dict[str, Any]

    @property
    def refetches(self) -> bool:
        return bool(self.data["type"] == "refetchEvaluation")


class Stream:
    """A client that reads like a browser's EventSource."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.retry = 0

    async def next(self) -> Event:
        """Return the next event; what is no event is passed over."""
        async with asyncio.timeout(DEADLINE):
            while True:
                event = self._read(await self.response.content.readuntil(b"\n\n"))
                if event is not None:
                    return event

    def _read(self, block: bytes) -> Event | None:
        lines = [line for line in block.decode().split("\n") if line.strip(":")]
        fields = dict(line.split(": ", 1) for line in lines)
        self.retry = int(fields.get("retry", self.retry))
        if not fields:
            return None
        assert fields["event"] == "message"
        data = orjson.loads(fields["data"])
        check_event(data)
        return Event(fields["id"], data)


@asynccontextmanager
async def getting(base: str, address: str, **given: Any) -> AsyncGenerator[aiohttp.ClientResponse]:
    async with aiohttp.ClientSession(base) as session, session.get(address, **given) as response:
        yield response


@asynccontextmanager
async def following(
    scene: Scene, base: str, address: str, last_event_id: str | None = None
) -> AsyncGenerator[Stream]:
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    before = len(scene.hub)
    async with getting(base, address, headers=headers) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        yield Stream(response)
    await until(lambda: len(scene.hub) <= before)


async def ask(base: str, environment: str = "production") -> str:
    """Ask for all flags, and return the stream's address."""
    async with aiohttp.ClientSession(base) as session:
        given = {"X-Windsock-Environment": environment}
        async with session.post(ALL, json={"context": {}}, headers=given) as response:
            answer = await response.json()
            check_all(response.status, answer)
            address: str = answer["eventStreams"][0]["endpoint"]["requestUri"]
            return address


async def test_a_stream_begins_with_an_id_and_tells_of_changes() -> None:
    scene = a_scene()
    async with serving(scene.app) as base, following(scene, base, await ask(base)) as stream:
        first = await stream.next()
        assert first.id == f"{EPOCH}-7"
        assert not first.refetches
        assert stream.retry > 0
        await scene.disable("static")
        told = await stream.next()
        assert told.refetches
        assert told.id == told.data["etag"] == f"{EPOCH}-8"


async def test_changes_elsewhere_are_not_told() -> None:
    scene = a_scene()
    async with serving(scene.app) as base, following(scene, base, await ask(base)) as stream:
        await stream.next()
        await scene.put(a_flag("static", staging=InEnvironment(enabled=True)))
        await scene.disable("text")
        assert (await stream.next()).id == f"{EPOCH}-9"


async def test_an_idle_stream_is_kept_open() -> None:
    scene = a_scene()
    async with serving(scene.app) as base, following(scene, base, await ask(base)) as stream:
        await stream.next()
        await scene.hub.beat()
        async with asyncio.timeout(DEADLINE):
            assert await stream.response.content.readuntil(b"\n\n") == b":\n\n"


async def test_who_comes_back_and_has_missed_nothing_need_not_ask() -> None:
    scene = a_scene()
    async with serving(scene.app) as base:
        address = await ask(base)
        await scene.put(a_flag("static", staging=InEnvironment(enabled=True)))
        async with following(scene, base, address, f"{EPOCH}-7") as stream:
            assert not (await stream.next()).refetches
            await scene.disable("text")
            assert (await stream.next()).id == f"{EPOCH}-9"


async def test_who_comes_back_with_another_id_is_to_ask_at_once() -> None:
    scene = a_scene()
    older, newer = [f"{EPOCH}-7", f"{EPOCH}-3"], [f"{EPOCH}-99"]
    async with serving(scene.app) as base:
        address = await ask(base)
        await scene.disable("static")
        for last in [*older, *newer, "other-8", "unknown", "-", "x" * 2_000]:
            async with following(scene, base, address, last) as stream:
                assert not (await stream.next()).refetches, last
                told = await stream.next()
                assert told.refetches, last
                assert told.id == f"{EPOCH}-8"


async def test_who_comes_for_the_first_time_has_not_missed_what_changed_since_the_answer() -> None:
    scene = a_scene()
    async with serving(scene.app) as base:
        address = await ask(base)
        await scene.disable("static")
        async with following(scene, base, address) as stream:
            await stream.next()
            assert (await stream.next()).refetches


async def test_after_a_restart_clients_ask() -> None:
    before = a_scene()
    async with serving(before.app) as base:
        address = await ask(base)
        async with following(before, base, address) as stream:
            last = (await stream.next()).id
            await before.put(a_flag("new"), elsewhere=True)
    after = Scene(before.configuration)
    async with serving(after.app) as base, following(after, base, address, last) as stream:
        assert (await stream.next()).id == f"{EPOCH}-8"
        assert (await stream.next()).refetches


async def test_a_database_that_begins_anew_has_clients_ask() -> None:
    scene = a_scene()
    async with serving(scene.app) as base, following(scene, base, await ask(base)) as stream:
        await stream.next()
        scene.configuration.world = a_world([], epoch="new")
        await scene.live.catch_up()
        told = await stream.next()
        assert told.refetches
        assert EventId.read(told.id) == EventId("new", 7)


async def status(base: str, address: str, **given: Any) -> tuple[int, dict[str, Any], Any]:
    async with getting(base, address, **given) as response:
        return response.status, await response.json(content_type=None), response.headers


async def test_without_our_token_there_is_no_stream() -> None:
    scene = a_scene()
    async with serving(scene.app) as base:
        for query in ("", "?token=", "?token=forged", "?token=a.b", "?other=1"):
            code, answer, headers = await status(base, f"/ofrep/v1/sse{query}")
            assert (code, answer["code"]) == (401, "stream_token"), query
            assert headers["www-authenticate"].startswith("Bearer")
        assert len(scene.hub) == 0


async def test_an_expired_token_opens_nothing_and_an_open_stream_goes_on() -> None:
    clock = FakeClock()
    scene = a_scene(clock=clock)
    async with serving(scene.app) as base:
        address = await ask(base)
        async with following(scene, base, address) as stream:
            await stream.next()
            clock.advance(LIFE_SECONDS)
            assert (await status(base, address))[0] == 401
            await scene.disable("static")
            assert (await stream.next()).refetches
        async with following(scene, base, await ask(base)) as stream:
            assert not (await stream.next()).refetches


async def test_a_token_is_for_its_environment_alone() -> None:
    scene = a_scene()
    async with serving(scene.app) as base:
        address = await ask(base, "staging")
        elsewhere = {"X-Windsock-Environment": "production"}
        address += "&environment=production"
        async with getting(base, address, headers=elsewhere) as response:
            stream = Stream(response)
            await stream.next()
            await scene.disable("static")
            await scene.put(a_flag("static", staging=InEnvironment(enabled=True)))
            assert (await stream.next()).id == f"{EPOCH}-9"


async def test_too_many_streams_are_refused() -> None:
    scene = a_scene(max_streams=1)
    async with serving(scene.app) as base:
        address = await ask(base)
        async with following(scene, base, address) as stream:
            await stream.next()
            code, _, headers = await status(base, address)
            assert code == 503
            assert int(headers["retry-after"]) >= 1


async def test_a_page_of_this_machine_may_listen() -> None:
    scene = a_scene()
    page = {"Origin": "http://localhost:5173"}
    async with serving(scene.app) as base:
        async with getting(base, await ask(base), headers=page) as response:
            assert response.headers["access-control-allow-origin"] == page["Origin"]
        _, _, headers = await status(base, "/ofrep/v1/sse", headers=page)
        assert headers["access-control-allow-origin"] == page["Origin"]


async def test_the_service_stops_though_streams_are_open() -> None:
    scene = a_scene()
    async with aiohttp.ClientSession() as session:
        async with serving(scene.app) as base:
            response = await session.get(base + await ask(base))
            stream = Stream(response)
            await stream.next()
        async with asyncio.timeout(DEADLINE):
            assert await response.content.read() == b""


async def test_tokens_are_in_no_log(capsys: pytest.CaptureFixture[str]) -> None:
    configured, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure("flags-svc", level="debug")
    try:
        scene = a_scene()
        async with serving(scene.app) as base:
            address = await ask(base)
            async with following(scene, base, address) as stream:
                await stream.next()
            await status(base, address + "x")
    finally:
        structlog.configure(**configured)
        root.handlers[:] = handlers
        root.setLevel(level)
    logged = capsys.readouterr().out
    assert '"path":"/ofrep/v1/sse"' in logged
    token = address.partition("token=")[2]
    assert token
    assert token not in logged
    assert token[:20] not in logged
    assert "token=" not in logged


async def test_an_environment_that_goes_ends_its_streams() -> None:
    scene = Scene(Memory(a_world([])))
    async with (
        serving(scene.app) as base,
        following(scene, base, await ask(base, "staging")) as stream,
    ):
        await stream.next()
        await scene.delete("environment", "staging")
        async with asyncio.timeout(DEADLINE):
            assert await stream.response.content.read() == b""
