"""PostgreSQL is stopped, killed and frozen while flags are changed: changes are refused, evaluation goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest_asyncio

from tests.faults.fault_proxy import BlackHole, fault_proxy
from tests.faults.flags.checker import DATABASE
from tests.faults.flags.processes import RedisServer
from tests.faults.flags.suite import RECONNECTED_SECONDS, Suite, suite
from tests.fixtures.servers import RunningPostgres


@pytest_asyncio.fixture
async def mortal(own_postgres: RunningPostgres, tmp_path: Path) -> AsyncGenerator[Suite]:
    """Give a suite on a server that may be stopped."""
    async with suite(tmp_path, await own_postgres.new_flags_database("flags")) as made:
        yield made


async def test_postgresql_is_stopped_and_killed(
    mortal: Suite, own_postgres: RunningPostgres, redis: RedisServer
) -> None:
    one = mortal.service("one", FLAGS_REDIS_URL=redis.url)
    other = mortal.service("other")
    await asyncio.gather(one.start(), other.start())
    await mortal.found(one)
    mortal.application("streaming", WINDSOCK_ENDPOINT=other.url).start()

    async with mortal.asking():
        for end in (own_postgres.stop, own_postgres.kill):
            async with mortal.changing():
                await asyncio.sleep(0.5)
                await asyncio.to_thread(end)
                with mortal.away(DATABASE):
                    await asyncio.sleep(1.5)
                await own_postgres.start()
            await mortal.settled()

    await mortal.check()


async def test_postgresql_freezes(empty: Suite) -> None:
    """It is only not heard of: what it was told may come true, but nobody waits for that."""
    async with fault_proxy(empty.database_url) as (way, url):
        one = empty.service("one", database_url=url)
        other = empty.service("other", database_url=url)
        await asyncio.gather(one.start(), other.start())
        await empty.found(one)
        empty.application("streaming", WINDSOCK_ENDPOINT=other.url).start()

        async with empty.asking():
            with empty.away(DATABASE, silent=True):
                way.add(BlackHole())
                async with asyncio.timeout(15):
                    tries = (empty.change(one, "number-a"), empty.change(other, "number-b"))
                    refused = await asyncio.gather(*tries)
            way.clear()
            await empty.until_writable(one)
            async with empty.changing():
                await asyncio.sleep(1.0)
            await empty.settled(RECONNECTED_SECONDS)

        assert [made.status for made in refused] == [503, 503]
        await empty.check()
