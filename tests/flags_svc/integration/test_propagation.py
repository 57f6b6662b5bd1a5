"""Changes on their way from one process to all others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from flags_svc.domain.flag import Environment, InEnvironment
from flags_svc.domain.world import Edit
from flags_svc.live.messages import CHANNEL
from tests.fixtures.servers import in_memory, running_redis, server_folder
from tests.flags_svc.processes import Process, a_process
from tests.flags_svc.replicas import ANN, a_flag, an_edit, wish
from tests.flags_svc.waiting import mirrored, until

PRODUCTION = Edit("environment", "production", Environment("production"), "create")
ON = an_edit(a_flag("f", environments={"production": InEnvironment(True)}))
OFF = an_edit(a_flag("f"))


@asynccontextmanager
async def two(database_url: str, **given: Any) -> AsyncGenerator[tuple[Process, Process]]:
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(a_process(database_url, **given))
        other = await stack.enter_async_context(a_process(database_url, **given))
        await one.editor.edit(wish(PRODUCTION, OFF), ANN)
        await until(lambda: other.replica.revision == one.replica.revision)
        yield one, other


@pytest.fixture
async def database(flags_url: str, pool: Any) -> str:
    return flags_url


async def test_a_change_is_in_force_in_all_processes(database: str, redis_url: str) -> None:
    async with two(database, redis_url=redis_url) as (one, other):
        await one.editor.edit(wish(ON), ANN)

        assert one.variant() == "on"
        await until(lambda: other.variant() == "on")
        assert other.replica.world == one.replica.world


async def test_redis_alone_tells_what_a_change_is(database: str, redis_url: str) -> None:
    async with two(database, redis_url=redis_url) as (one, other):
        await heard_by(redis_url, 2)
        other.configuration.away = True
        await one.editor.edit(wish(ON), ANN)

        await until(lambda: other.variant() == "on")


async def test_without_redis_postgresql_tells_that_there_is_one(database: str) -> None:
    async with two(database) as (one, other):
        await one.editor.edit(wish(ON), ANN)

        await until(lambda: other.variant() == "on")


async def test_of_many_changes_by_many_none_is_missed(database: str, redis_url: str) -> None:
    async with two(database, redis_url=redis_url) as (one, other):

        async def write(process: Process, name: str) -> None:
            for number in range(20):
                await process.editor.edit(wish(an_edit(a_flag(f"{name}{number}"))), ANN)

        await asyncio.gather(write(one, "a"), write(one, "b"), write(other, "c"))

        last = max(one.replica.revision, other.replica.revision)
        await until(lambda: (one.replica.revision, other.replica.revision) == (last, last))
        assert last == 62
        assert other.replica.world == one.replica.world
        assert len(one.replica.compiled("production")) == 61


async def test_a_message_that_nobody_can_read_harms_nobody(database: str, redis_url: str) -> None:
    async with two(database, redis_url=redis_url) as (one, other):
        await heard_by(redis_url, 2)
        async with Redis.from_url(redis_url) as client:
            for body in (b"", b"\xff", b'{"epoch":"e","changes":[{"revision":1}]}'):
                await client.publish(CHANNEL, body)
        await one.editor.edit(wish(ON), ANN)

        await until(lambda: other.variant() == "on")


async def heard_by(url: str, number: int) -> None:
    """Wait until so many processes listen."""
    async with Redis.from_url(url) as client, asyncio.timeout(30):
        while (await client.pubsub_numsub(CHANNEL))[0][1] < number:  # noqa: ASYNC110 - nobody tells.
            await asyncio.sleep(0.005)


async def test_a_redis_that_dies_and_comes_back_costs_no_change(database: str) -> None:
    with server_folder(in_memory()) as folder, running_redis(folder) as url:
        port = urlsplit(url).port
        async with two(database, redis_url=url) as (one, other):
            await mirrored(url, one.replica.revision)
            await killed_meanwhile(folder, url, port, one, other)


async def killed_meanwhile(
    folder: Path, url: str, port: int | None, one: Process, other: Process
) -> None:
    async with Redis.from_url(url) as client:
        await client.config_set("save", "")
        await client.shutdown(nosave=True)

    await one.editor.edit(wish(ON), ANN)
    await until(lambda: other.variant() == "on")

    with running_redis(folder, port=port):
        await mirrored(url, one.replica.revision)
        await one.editor.edit(wish(OFF), ANN)
        await until(lambda: other.variant() == "off")
        await mirrored(url, one.replica.revision)
