"""The database is put back to an older state: what was lost is lost for everybody, and nobody is stuck with it."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from tests.faults.fault_proxy import FaultProxy, fault_proxy
from tests.faults.flags.processes import RedisServer
from tests.faults.flags.suite import RECONNECTED_SECONDS, Suite

_KEEP = """
    CREATE TABLE flags.kept_items AS SELECT * FROM flags.items;
    CREATE TABLE flags.kept_changes AS SELECT * FROM flags.changes;
    CREATE TABLE flags.kept_head AS SELECT * FROM flags.head;
"""
# As after a restore of a backup, nothing of what came later is left, and the name of the epoch is the same.
_PUT_BACK = """
    TRUNCATE flags.items, flags.changes, flags.head;
    INSERT INTO flags.items SELECT * FROM flags.kept_items;
    INSERT INTO flags.changes SELECT * FROM flags.kept_changes;
    INSERT INTO flags.head SELECT * FROM flags.kept_head;
"""


@pytest.mark.parametrize("when", ["running", "stopped"])
async def test_a_database_is_put_back(empty: Suite, redis: RedisServer, when: str) -> None:
    async with fault_proxy(empty.database_url) as (way, url):
        one = empty.service("one", database_url=url, FLAGS_REDIS_URL=redis.url)
        other = empty.service("other", database_url=url)
        await asyncio.gather(one.start(), other.start())
        await empty.found(one)
        empty.application("streaming", WINDSOCK_ENDPOINT=other.url).start()
        empty.application("listening", WINDSOCK_ENDPOINT=one.url, WINDSOCK_FLAGS_REDIS_URL=redis.url).start()  # fmt: skip

        async with empty.asking():
            async with empty.changing():
                await asyncio.sleep(0.5)
            await _execute(empty.database_url, _KEEP)
            async with empty.changing():
                await asyncio.sleep(0.5)
            await empty.settled()
            lost = await empty.remember()

            # What is put back is older for every service alike, as new processes are.
            services = [one, other]
            with empty.away("one"), empty.away("other"):
                if when == "stopped":
                    for service in services:
                        # Within a second all is written down.
                        await asyncio.sleep(0.6)
                        service.kill()
                await _put_back(empty.database_url, way)
                if when == "stopped":
                    await asyncio.gather(*(service.start() for service in services))
            with empty.going_back():
                for service in services:
                    await empty.until_writable(service)
                await asyncio.sleep(0.2)
            one.life, other.life = one.life + 1, other.life + 1
            async with empty.changing():
                await asyncio.sleep(0.5)
            await empty.settled(RECONNECTED_SECONDS)

        assert await empty.remember() != lost
        await empty.check()


async def _put_back(url: str, way: FaultProxy) -> None:
    await way.down()
    await _execute(url, _PUT_BACK)
    await way.up()


async def _execute(url: str, statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()
