"""One channel's queue, which no other channel can hold up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.domain.undelivered import CONSOLE
from alerts_svc.domain.world import World
from alerts_svc.ports import Delivery, LeaseLostError, Ledger, Refused, Retry, Time
from alerts_svc.sender.courier import MAX_RETRY_AFTER_SECONDS, Courier, Keeper
from alerts_svc.sender.pace import Limits, Pace, limits

log = structlog.get_logger(__name__)

# How long to wait where nothing says when it goes on.
POLL_SECONDS = 1.0
_SOONEST_SECONDS = 0.01
_BATCH = 100


class Lane:
    """Sends what waits for one channel, within the limits of its kind.

    At most as many messages as it may send at once are in memory.
    """

    def __init__(
        self,
        name: str,
        ledger: Ledger,
        courier: Courier,
        keeper: Keeper,
        time: Time,
        *,
        world: Callable[[], World | None],
    ) -> None:
        self.name = name
        self._ledger = ledger
        self._courier = courier
        self._keeper = keeper
        self._time = time
        self._world = world
        self._pace = Pace()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._ended: set[str] = set()
        self._woken = asyncio.Event()
        self._stopping = False
        self._gone: int | None = None

    @property
    def attempts(self) -> list[asyncio.Task[None]]:
        """Return the attempts that run now."""
        return list(self._running.values())

    def wake(self) -> None:
        """Look at once for something to send."""
        self._woken.set()

    def stop(self) -> None:
        """Begin no further attempt; those that run go on."""
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Send until stopped, whatever fails."""
        while not self._stopping:
            self._woken.clear()
            try:
                wait = await self._turn()
            except LeaseLostError:
                wait = POLL_SECONDS
            except Exception:
                log.exception("lane_failed", channel=self.name)
                wait = POLL_SECONDS
            await self._rest(wait)

    async def run_once(self) -> None:
        """Attempt once each what is due, in order and without waiting for anything."""
        seen: set[str] = set()
        while (world := self._current()) is not None:
            channel = self._usable(world)
            found = await self._ledger.due(self.name, own=self._time.own(), limit=_BATCH)
            fresh = [delivery for delivery in found if delivery.message.id not in seen]
            if not fresh:
                return
            for delivery in fresh:
                seen.add(delivery.message.id)
                await self.handle(channel, delivery, world)

    async def _rest(self, seconds: float | None) -> None:
        if self._woken.is_set():
            return
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _turn(self) -> float | None:
        """Begin what may begin; return for how long there is nothing more to do, unless woken."""
        world = self._current()
        if world is None:
            return POLL_SECONDS
        channel = self._usable(world)
        allowed = Limits() if channel is None else limits(channel.kind)
        free = allowed.concurrency - len(self._running)
        if free <= 0:
            return None
        wait = self._pace.wait(self._time.monotonic())
        if wait > 0:
            return wait
        self._ended.clear()
        found = await self._ledger.due(self.name, own=self._time.own(), limit=allowed.concurrency)
        # An attempt that has ended while the store was asked may still look as if it were to be made.
        begun = self._running.keys() | self._ended
        fresh = [delivery for delivery in found if delivery.message.id not in begun]
        if not fresh:
            return await self._idle()
        for delivery in fresh[: 1 if allowed.spacing_seconds else free]:
            self._pace.used(self._time.monotonic(), allowed.spacing_seconds)
            self._begin(delivery, self._handle(channel, delivery, world))
        return self._pace.wait(self._time.monotonic())

    async def _idle(self) -> float | None:
        at = await self._ledger.next_due(self.name)
        if at is None:
            return None
        own = self._time.own()
        # What is being sent just now is due as well, and so may hide what comes next.
        return max(at - own, _SOONEST_SECONDS) if at > own else POLL_SECONDS

    def _current(self) -> World | None:
        """Return the world if it is as new as the lease: an older one may lack a channel."""
        lease, world = self._keeper.lease, self._world()
        if self._stopping or lease is None or world is None or world.revision < lease.revision:
            return None
        return world

    def _usable(self, world: World) -> Channel | None:
        channel = world.channels.get(self.name)
        if self.name == CONSOLE.name:
            return channel if channel is not None and channel.kind is Kind.CONSOLE else CONSOLE
        if channel is None or not channel.enabled or channel.disabled_reason is not None:
            return None
        return None if channel.version == self._gone else channel

    def _begin(self, delivery: Delivery, attempt: asyncio.Task[None]) -> None:
        message = delivery.message.id
        self._running[message] = attempt

        def ended(task: asyncio.Task[None]) -> None:
            del self._running[message]
            self._ended.add(message)
            if not task.cancelled() and task.exception() is not None:
                self._pace.hold(self._time.monotonic() + POLL_SECONDS)
            self.wake()

        attempt.add_done_callback(ended)

    def _handle(
        self, channel: Channel | None, delivery: Delivery, world: World
    ) -> asyncio.Task[None]:
        return asyncio.create_task(self.handle(channel, delivery, world), name=self.name)

    async def handle(self, channel: Channel | None, delivery: Delivery, world: World) -> None:
        """Attempt one delivery, or give it up if the channel cannot be used."""
        try:
            await self._deliver(channel, delivery, world)
        except LeaseLostError:
            raise
        except Exception:
            log.exception("attempt_failed", channel=self.name, id=delivery.message.id)
            raise

    async def _deliver(self, channel: Channel | None, delivery: Delivery, world: World) -> None:
        if channel is None:
            await self._courier.abandon(delivery, self._unusable(world), world)
            return
        spacing = limits(channel.kind).spacing_seconds

        def sending() -> None:
            # The store may have taken its time since the attempt began; what the receiver bears counts from here.
            self._pace.used(self._time.monotonic(), spacing)

        result = await self._courier.attempt(channel, delivery, world, sending=sending)
        if isinstance(result, Refused) and result.gone:
            # The world that says so comes a moment later.
            self._gone = channel.version
        if isinstance(result, Retry) and result.after is not None:
            # It holds for whatever else waits for the same receiver.
            wait = min(result.after, MAX_RETRY_AFTER_SECONDS)
            self._pace.hold(self._time.monotonic() + wait)

    def _unusable(self, world: World) -> str:
        channel = world.channels.get(self.name)
        if channel is None:
            return "the channel was removed"
        why = f": {channel.disabled_reason}" if channel.disabled_reason else ""
        return f"the channel is disabled{why}"
