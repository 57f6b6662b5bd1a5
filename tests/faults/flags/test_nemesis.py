"""Services, applications, Redis and the ways between them, struck at random while flags are changed: all promises hold."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from tests.faults.fault_proxy import fault_proxy
from tests.faults.flags.nemesis import DEEDS, Nemesis
from tests.faults.flags.processes import RedisServer
from tests.faults.flags.suite import RECONNECTED_SECONDS, Suite

SEED = 20_261_122
STRUCK_SECONDS = 16.0


async def test_promises_hold_whatever_is_done(empty: Suite, redis: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        stores = [
            await stack.enter_async_context(fault_proxy(empty.database_url)) for _ in range(2)
        ]
        caches = [await stack.enter_async_context(fault_proxy(redis.url)) for _ in range(2)]
        for number, ((_, store), (_, cache)) in enumerate(zip(stores, caches, strict=True)):
            empty.service(f"service-{number}", database_url=store, FLAGS_REDIS_URL=cache)
        services = list(empty.services.values())
        await asyncio.gather(*(service.start() for service in services))
        await empty.found(services[0])
        streams = [
            await stack.enter_async_context(fault_proxy(service.url, seed=SEED))
            for service in services
        ]
        for number, (_, url) in enumerate(streams):
            empty.application(f"streaming-{number}", WINDSOCK_ENDPOINT=url).start()
        empty.application(
            "listening", WINDSOCK_ENDPOINT=services[0].url, WINDSOCK_FLAGS_REDIS_URL=redis.url
        ).start()
        nemesis = Nemesis(
            SEED,
            empty,
            redis,
            stores=[way for way, _ in stores],
            caches=[way for way, _ in caches],
            streams=[way for way, _ in streams],
        )

        async with empty.asking():
            async with empty.changing():
                await nemesis.strike(STRUCK_SECONDS)
            for service in services:
                await empty.until_writable(service)
            await empty.settled(RECONNECTED_SECONDS)

        assert set(nemesis.done) == set(DEEDS)
        await empty.check()
