"""Does harm to services, to what lies between them, their database and Redis, and to applications; drawn from a seed."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import ExitStack

from tests.faults.fault_proxy import BlackHole, FaultProxy, Latency, LimitData
from tests.faults.flags.checker import DATABASE
from tests.faults.flags.processes import FlagsService, RedisServer
from tests.faults.flags.suite import Suite

DEEDS = (
    "kill a service",
    "kill all services",
    "pause a service",
    "kill redis",
    "freeze redis",
    "slow redis",
    "cut off the database",
    "freeze the database",
    "flicker the database",
    "cut the applications off",
    "cut events",
)


class Nemesis:
    """Strikes anybody. ``stores`` are the services' ways to the database, ``streams`` the applications' to services."""

    def __init__(
        self,
        seed: int,
        suite: Suite,
        redis: RedisServer,
        *,
        stores: Sequence[FaultProxy],
        caches: Sequence[FaultProxy],
        streams: Sequence[FaultProxy],
    ) -> None:
        self._random = random.Random(seed)
        self._suite = suite
        self._redis = redis
        self._stores = stores
        self._caches = caches
        self._streams = streams
        self.done: list[str] = []

    async def strike(self, seconds: float) -> None:
        """Do one thing after the other for so long, and until each was done once; then let all be well."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            first = not self.done
            for deed in self._random.sample(DEEDS, len(DEEDS)):
                if time.monotonic() >= end and not first:
                    break
                self.done.append(deed)
                await getattr(self, "_" + deed.replace(" ", "_"))(self._random.uniform(0.2, 1.0))
                await asyncio.sleep(self._random.uniform(0.05, 0.4))

    def _service(self) -> FlagsService:
        return self._random.choice(list(self._suite.services.values()))

    async def _kill_a_service(self, seconds: float) -> None:
        await self._killed([self._service()], seconds)

    async def _kill_all_services(self, seconds: float) -> None:
        await self._killed(list(self._suite.services.values()), seconds / 2)

    async def _killed(self, victims: Sequence[FlagsService], seconds: float) -> None:
        with ExitStack() as stack:
            for victim in victims:
                stack.enter_context(self._suite.away(victim.name))
                victim.kill()
            await asyncio.sleep(seconds)
            await asyncio.gather(*(victim.start() for victim in victims))

    async def _pause_a_service(self, seconds: float) -> None:
        victim = self._service()
        with self._suite.away(victim.name):
            victim.pause()
            await asyncio.sleep(seconds + 1.0)
            victim.resume()

    async def _kill_redis(self, seconds: float) -> None:
        self._redis.kill()
        await asyncio.sleep(seconds)
        self._redis.start()

    async def _freeze_redis(self, seconds: float) -> None:
        self._redis.pause()
        await asyncio.sleep(seconds + 1.0)
        self._redis.resume()

    async def _slow_redis(self, seconds: float) -> None:
        for way in self._caches:
            way.add(Latency(0.1, jitter=0.1))
        await asyncio.sleep(seconds)
        for way in self._caches:
            way.clear()

    async def _cut_off_the_database(self, seconds: float) -> None:
        for way in self._stores:
            await way.down()
        # What has been sent before it was cut off may have come true.
        with self._suite.away(DATABASE):
            await asyncio.sleep(seconds)
        for way in self._stores:
            await way.up()

    async def _freeze_the_database(self, seconds: float) -> None:
        way = self._random.choice(self._stores)
        way.add(BlackHole())
        await asyncio.sleep(seconds)
        way.clear()

    async def _flicker_the_database(self, seconds: float) -> None:
        """Reset connections now and then: whether a commit was made is not known."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for way in self._stores:
                way.cut()
            await asyncio.sleep(self._random.uniform(0.05, 0.5))

    async def _cut_the_applications_off(self, seconds: float) -> None:
        way = self._random.choice(self._streams)
        await way.down()
        await asyncio.sleep(seconds)
        await way.up()

    async def _cut_events(self, seconds: float) -> None:
        for way in self._streams:
            way.add(LimitData(self._random.randrange(200, 9_000)), "down", probability=0.8)
        await asyncio.sleep(seconds)
        for way in self._streams:
            way.clear()
            way.cut()
