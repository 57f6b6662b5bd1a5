"""Redis dies, freezes and is slow while flags are changed: nobody waits for it, and who listens there catches up."""

from __future__ import annotations

import asyncio

from tests.faults.fault_proxy import BlackHole, Latency, fault_proxy
from tests.faults.flags.processes import RedisServer
from tests.faults.flags.suite import CONNECTED_SECONDS, RECONNECTED_SECONDS, Suite


async def test_redis_dies_and_comes_back_empty(empty: Suite, redis: RedisServer) -> None:
    one = empty.service("one", FLAGS_REDIS_URL=redis.url)
    other = empty.service("other", FLAGS_REDIS_URL=redis.url)
    await asyncio.gather(one.start(), other.start())
    await empty.found(one)
    empty.application("streaming", WINDSOCK_ENDPOINT=other.url).start()
    empty.application("listening", WINDSOCK_ENDPOINT=one.url, WINDSOCK_FLAGS_REDIS_URL=redis.url).start()  # fmt: skip

    async with empty.asking():
        async with empty.changing():
            await asyncio.sleep(1.0)
            redis.kill()
            await asyncio.sleep(1.5)
        await empty.settled(CONNECTED_SECONDS, "one", "other", "streaming")
        async with empty.changing():
            redis.start()
            await asyncio.sleep(1.0)
        await empty.settled(RECONNECTED_SECONDS)

    await empty.check()


async def test_redis_freezes_and_is_slow(empty: Suite, redis: RedisServer) -> None:
    async with fault_proxy(redis.url) as (way, url):
        one = empty.service("one", FLAGS_REDIS_URL=url)
        other = empty.service("other", FLAGS_REDIS_URL=redis.url)
        await asyncio.gather(one.start(), other.start())
        await empty.found(one)
        empty.application("streaming", WINDSOCK_ENDPOINT=one.url).start()
        empty.application("listening", WINDSOCK_ENDPOINT=other.url, WINDSOCK_FLAGS_REDIS_URL=url).start()  # fmt: skip

        async with empty.asking():
            async with empty.changing():
                redis.pause()
                await asyncio.sleep(2.0)
            await empty.settled(CONNECTED_SECONDS, "one", "other", "streaming")
            redis.resume()
            way.add(Latency(0.1, jitter=0.1))
            async with empty.changing():
                await asyncio.sleep(1.0)
                way.cut()
                await asyncio.sleep(0.5)
            way.clear()
            way.add(BlackHole())
            await empty.settled(CONNECTED_SECONDS, "one", "other", "streaming")
            way.clear()
            way.cut()
            await empty.settled(RECONNECTED_SECONDS)

        await empty.check()
