"""Does harm to two replicas and to what lies between them, their store and a receiver; drawn from a seed."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

import asyncpg

from tests.faults.alerting.chronicle import Chronicle
from tests.faults.alerting.service import AlertsService
from tests.faults.fault_proxy import (
    BlackHole,
    FaultProxy,
    Latency,
    ResetPeer,
    Slicer,
    Toxic,
)
from tests.faults.service import until

# Until the other replica acts, or the same one again, and has looked at everything: the lease and a few evaluations.
RECOVERY_SECONDS = 4.0
DEEDS = (
    "kill",
    "kill both",
    "pause",
    "cut off",
    "slow store",
    "flicker",
    "reset",
    "black hole",
    "slow receiver",
)


class Nemesis:
    """Strikes whoever acts. ``stores`` are the ways of the replicas to their store, ``way`` is that to the receiver."""

    def __init__(
        self,
        seed: int,
        database_url: str,
        services: Sequence[AlertsService],
        stores: Sequence[FaultProxy],
        way: FaultProxy,
        chronicle: Chronicle,
    ) -> None:
        self._random = random.Random(seed)
        self._database_url = database_url
        self._services = services
        self._stores = stores
        self._way = way
        self._chronicle = chronicle
        self.done: list[str] = []

    async def strike(self, seconds: float) -> None:
        """Do one thing after the other for so long, each at least once if there is the time; then let all be well."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            deeds = self._random.sample(DEEDS, len(DEEDS))
            for deed in deeds:
                if time.monotonic() >= end:
                    break
                self.done.append(deed)
                await getattr(self, "_" + deed.replace(" ", "_"))(self._random.uniform(0.3, 1.5))
                await asyncio.sleep(self._random.uniform(0.1, 1.0))

    async def _acting(self) -> int:
        """Return which replica holds the lease; the first one if it cannot be told."""
        connection = await asyncpg.connect(self._database_url)
        try:
            owner: str = await connection.fetchval("SELECT owner FROM alerts.leases")
        finally:
            await connection.close()
        pids = [f":{service.pid}:" for service in self._services]
        return next((number for number, pid in enumerate(pids) if pid in owner), 0)

    async def _kill(self, seconds: float) -> None:
        victim = await self._acting()
        began = time.time()
        self._services[victim].kill()
        await asyncio.sleep(seconds)
        await self._started(victim)
        self._chronicle.fault(began, began + RECOVERY_SECONDS, "crash")

    async def _kill_both(self, seconds: float) -> None:
        began = time.time()
        for service in self._services:
            service.kill()
        await asyncio.sleep(seconds)
        await asyncio.gather(*(self._started(number) for number in range(len(self._services))))
        self._chronicle.fault(began, time.time() + RECOVERY_SECONDS, "power")

    async def _started(self, number: int) -> None:
        await self._services[number].start()

    async def _pause(self, seconds: float) -> None:
        victim = self._services[await self._acting()]
        began = time.time()
        victim.pause()
        # Longer than the lease, so that the other one acts when this one goes on.
        await asyncio.sleep(seconds + 2.0)
        victim.resume()
        resumed = time.time()
        self._chronicle.fault(began, began + RECOVERY_SECONDS, "pause")
        self._chronicle.fault(resumed, resumed + 1.0, "resume")

    async def _cut_off(self, seconds: float) -> None:
        way = self._stores[await self._acting()]
        began = time.time()
        await way.down()
        await asyncio.sleep(seconds + 1.0)
        await way.up()
        self._chronicle.fault(began, time.time() + RECOVERY_SECONDS, "store_down")

    async def _slow_store(self, seconds: float) -> None:
        began = time.time()
        for way in self._stores:
            way.add(Latency(0.05, jitter=0.05), "up")
        await asyncio.sleep(seconds)
        for way in self._stores:
            way.clear()
        self._chronicle.fault(began, time.time() + RECOVERY_SECONDS, "store_slow")

    async def _flicker(self, seconds: float) -> None:
        """Reset the connections to the store now and then: whether a commit was made is not known."""
        began = time.time()
        while time.time() < began + seconds:
            for way in self._stores:
                way.cut()
            await asyncio.sleep(self._random.uniform(0.05, 0.5))
        self._chronicle.fault(began, time.time() + RECOVERY_SECONDS, "store_lossy")

    async def _reset(self, seconds: float) -> None:
        await self._on_the_way(ResetPeer(), seconds, "reset")

    async def _black_hole(self, seconds: float) -> None:
        await self._on_the_way(BlackHole(seconds=0.5), seconds, "lost")

    async def _slow_receiver(self, seconds: float) -> None:
        await self._on_the_way(Slicer(16, pause=0.01), seconds, "slow")

    async def _on_the_way(self, toxic: Toxic, seconds: float, kind: str) -> None:
        began = time.time()
        # What the receiver says gets lost, so whether it has the message is not known.
        self._way.add(toxic, "down", probability=0.7)
        await asyncio.sleep(seconds)
        self._way.clear()
        self._chronicle.fault(began, time.time() + RECOVERY_SECONDS, kind, "hook")


async def mended(services: Sequence[AlertsService]) -> None:
    """Wait until all replicas are ready."""

    async def ready() -> bool:
        return all([await service.status("/readyz") == 200 for service in services])

    await until(ready, "both replicas are ready", seconds=20)
