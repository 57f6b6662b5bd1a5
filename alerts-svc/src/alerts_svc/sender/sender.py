"""Sets the channels' queues going, and brings them to rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import structlog
from prometheus_client import CollectorRegistry

from alerts_svc.domain.world import World
from alerts_svc.instruments import Instruments
from alerts_svc.ports import LeaseLostError, Ledger, Time, Transports
from alerts_svc.sender.courier import Courier, Keeper
from alerts_svc.sender.lane import Lane
from windsock_kit.loops import PeriodicLoop, running

log = structlog.get_logger(__name__)

# Whoever commits a message wakes the sender; this is for what nobody told of, such as a replay.
LOOK_SECONDS = 2.0


class Sender:
    """Sends what is in the outbox, while this process holds the lease.

    ``world`` is what the evaluator last loaded or committed (``None`` before that): channels and their fallback are
    taken from there. Nothing is sent under a lease that has ended, as far as a process can know.
    """

    def __init__(
        self,
        ledger: Ledger,
        transports: Transports,
        keeper: Keeper,
        time: Time,
        *,
        world: Callable[[], World | None],
        instruments: Instruments,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self._ledger = ledger
        self._keeper = keeper
        self._time = time
        self._world = world
        self._courier = Courier(ledger, transports, keeper, time, instruments, wake=self.wake)
        self._lanes: dict[str, Lane] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.loop = PeriodicLoop(
            "sender", self.tick, interval=LOOK_SECONDS, clock=time.monotonic, registry=registry
        )

    def wake(self) -> None:
        """Look at once for something to send; called after a commit."""
        self.loop.wake()

    async def tick(self) -> None:
        """Look for which channels something waits, and set their queues going."""
        if self._keeper.lease is None:
            return
        waiting = dict.fromkeys(await self._ledger.queues())
        for name in waiting:
            self._going(name).wake()
        world = self._world()
        if world is not None:
            for name in self._lanes.keys() - waiting.keys() - world.channels.keys():
                self._end(name)

    def _lane(self, name: str) -> Lane:
        if name not in self._lanes:
            self._lanes[name] = Lane(
                name, self._ledger, self._courier, self._keeper, self._time, world=self._world
            )
        return self._lanes[name]

    def _going(self, name: str) -> Lane:
        lane = self._lane(name)
        task = self._tasks.get(name)
        if task is None or task.done():
            self._tasks[name] = asyncio.create_task(lane.run(), name=f"sender:{name}")
        return lane

    def _end(self, name: str) -> None:
        if not self._lanes[name].attempts:
            self._lanes.pop(name).stop()
            self._tasks.pop(name, None)

    async def run_once(self) -> None:
        """Attempt once each what is due on any channel, for tests: the process has ``running``."""
        if self._keeper.lease is None:
            return
        lanes = [self._lane(name) for name in await self._ledger.queues()]
        for outcome in await asyncio.gather(
            *(lane.run_once() for lane in lanes), return_exceptions=True
        ):
            if isinstance(outcome, BaseException) and not isinstance(outcome, LeaseLostError):
                raise outcome

    @asynccontextmanager
    async def running(self, *, grace: float = 10.0) -> AsyncGenerator[None]:
        """Send for the life of the block.

        At its end, attempts that run have ``grace`` seconds; then they are cut, and written down as of unknown outcome.
        The lease must be kept until then.
        """
        try:
            async with running([self.loop]):
                yield
        finally:
            await self._rest(grace)

    async def _rest(self, grace: float) -> None:
        for lane in self._lanes.values():
            lane.stop()
        open_attempts = [attempt for lane in self._lanes.values() for attempt in lane.attempts]
        left = {*open_attempts, *self._tasks.values()}
        if left:
            _, left = await asyncio.wait(left, timeout=grace)
        if left:
            self._courier.cut()
            _, left = await asyncio.wait(left, timeout=_WRITING_SECONDS)
        for task in left:
            log.warning("attempt_cancelled", channel=task.get_name())
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


# For writing down how the attempts that were cut have ended.
_WRITING_SECONDS = 2.0
