"""Starts: of two services at once on nothing, and of everything with nothing there."""

from __future__ import annotations

import asyncio

import asyncpg

from tests.faults.fault_proxy import fault_proxy
from tests.faults.flags.checker import DATABASE
from tests.faults.flags.processes import RedisServer
from tests.faults.flags.suite import RECONNECTED_SECONDS, Suite


async def test_the_first_flags_are_made_once(empty: Suite) -> None:
    services = [empty.service(f"service-{number}") for number in range(3)]
    await asyncio.gather(*(service.start() for service in services))
    await empty.found(services[0])
    connection = await asyncpg.connect(empty.database_url)
    try:
        times = await connection.fetch(
            "SELECT key, count(*) FROM flags.changes WHERE author = 'seed' GROUP BY key, kind"
        )
    finally:
        await connection.close()

    lists = [await service.call("GET", "/api/feature-flags") for service in services]

    assert {row["count"] for row in times} == {1}
    assert len(times) > 9
    assert {each["total"] for each in lists} == {9 + len(empty.flags)}


async def test_everything_is_away_at_the_start(empty: Suite, redis: RedisServer) -> None:
    """The service goes by what it has last known, and an application by its backup."""
    async with fault_proxy(empty.database_url) as (way, url):
        service = empty.service("service", database_url=url, FLAGS_REDIS_URL=redis.url)
        await service.start()
        await empty.found(service)
        application = empty.application("application", WINDSOCK_ENDPOINT=service.url)
        application.start()
        async with empty.asking():
            async with empty.changing():
                await asyncio.sleep(0.5)
            await empty.settled()
        # As long as it takes to write everything down.
        await asyncio.sleep(1.5)
        service.kill()
        application.kill()
        redis.kill()
        await way.down()

        with empty.away("service"):
            application.start()
            await application.has(values=empty.numbers, backup=True, life=2)
            await service.start()
        async with empty.asking():
            with empty.away(DATABASE):
                refused = [await empty.change(service, flag) for flag in empty.flags]
                await application.has(backup=False)
            await way.up()
            await empty.until_writable(service)
            async with empty.changing():
                await asyncio.sleep(0.5)
            await empty.settled(RECONNECTED_SECONDS)

        assert {made.status for made in refused} == {503}
        await empty.check()
