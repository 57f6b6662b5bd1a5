"""One attempt at one delivery: what is written down before it, during it, and after it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from alerts_svc.domain.backoff import delay
from alerts_svc.domain.channel import Channel
from alerts_svc.domain.message import Message
from alerts_svc.domain.undelivered import UNSUPPORTED, elsewhere
from alerts_svc.domain.world import World
from alerts_svc.instruments import Instruments
from alerts_svc.ports import (
    Delivery,
    Lease,
    LeaseLostError,
    Ledger,
    Refused,
    Result,
    Retry,
    Sent,
    Time,
    Transports,
)

log = structlog.get_logger(__name__)

ATTEMPT_SECONDS = 15.0
GIVE_UP_SECONDS = 24 * 3600.0
GIVE_UP_UNSUPPORTED_SECONDS = 60.0
# The longest that a receiver may put us off; one that asks for more is asked again after it.
MAX_RETRY_AFTER_SECONDS = 3600.0
_LONGEST_PAUSE_SECONDS = 10.0


class Keeper(Protocol):
    """Who knows whether this process acts."""

    @property
    def lease(self) -> Lease | None:
        """Return the lease while it lasts."""
        ...

    def lost(self, lease: Lease) -> None:
        """Take note that the store refused what was done under ``lease``."""
        ...


class Courier:
    """Makes attempts, and sees to it that the store knows of each before it begins and how it ended.

    ``wake`` is called when something new is in the outbox.
    """

    def __init__(
        self,
        ledger: Ledger,
        transports: Transports,
        keeper: Keeper,
        time: Time,
        instruments: Instruments,
        *,
        wake: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._transports = transports
        self._keeper = keeper
        self._time = time
        self._instruments = instruments
        self._wake = wake
        self._deadlines: set[asyncio.Timeout] = set()

    async def attempt(
        self,
        channel: Channel,
        delivery: Delivery,
        world: World,
        *,
        sending: Callable[[], None] = lambda: None,
    ) -> Result:
        """Make one attempt. Raises ``LeaseLostError`` if this process does not act (any more).

        ``sending`` is called once the store knows of the attempt, right before the receiver does.
        """
        lease = self._lease()
        try:
            await self._ledger.begin_attempt(lease, delivery, own=self._time.own())
            sending()
            result = await self._send(lease, channel, delivery.message)
            self._instruments.attempts.labels(channel.kind.value, _outcome(result)).inc()
            await self._settle(lease, delivery, result, world)
        except LeaseLostError:
            self._keeper.lost(lease)
            raise
        if isinstance(result, Sent):
            self._instruments.delivered(delivery.message, wall=self._time.wall())
        return result

    async def abandon(self, delivery: Delivery, why: str, world: World) -> None:
        """Give a delivery up that cannot be attempted at all."""
        lease = self._lease()
        try:
            await self._ledger.begin_attempt(lease, delivery, own=self._time.own())
            await self._settle(lease, delivery, Refused(why), world)
        except LeaseLostError:
            self._keeper.lost(lease)
            raise

    def cut(self) -> None:
        """Let the attempts that still run end now, as if their time were over."""
        now = asyncio.get_running_loop().time()
        for deadline in self._deadlines:
            deadline.reschedule(now)

    def _lease(self) -> Lease:
        lease = self._keeper.lease
        if lease is None:
            raise LeaseLostError("this process does not hold the lease")
        return lease

    async def _send(self, lease: Lease, channel: Channel, message: Message) -> Result:
        transport = self._transports.get(channel.kind)
        if transport is None:
            return Refused(f"nothing can send over {channel.kind}")
        # The store may have been long in answering, or the process may have been stopped meanwhile.
        if self._lease().fence != lease.fence:
            raise LeaseLostError(f"the lease under fence {lease.fence} has ended")
        deadline = asyncio.timeout(ATTEMPT_SECONDS)
        self._deadlines.add(deadline)
        try:
            async with deadline:
                return await transport.send(channel, message, wall=self._time.wall())
        except TimeoutError:
            return Retry("no answer in time", unknown=True)
        except Exception as error:
            log.exception("transport_failed", channel=channel.name, kind=channel.kind)
            return Retry(f"a fault of our own: {type(error).__name__}", unknown=True)
        finally:
            self._deadlines.discard(deadline)

    async def _settle(self, lease: Lease, delivery: Delivery, result: Result, world: World) -> None:
        own = self._time.own()
        if isinstance(result, Sent):
            await self._ended(lease, delivery, result, own=own, next_at=None)
            return
        why, next_at = _verdict(delivery, result, own)
        if why is None:
            await self._ended(lease, delivery, result, own=own, next_at=next_at)
            return
        if isinstance(result, Refused) and result.gone:
            await self._insist(
                lambda: self._ledger.disable_channel(lease, delivery.message.channel, why)
            )
        await self._give_up(lease, delivery, result, world, why)

    async def _give_up(
        self, lease: Lease, delivery: Delivery, result: Result, world: World, why: str
    ) -> None:
        message, own = delivery.message, self._time.own()
        log.warning("delivery_given_up", channel=message.channel, id=message.id, reason=why)
        others = elsewhere(
            message,
            why=why,
            channels=world.channels,
            fallback=world.configuration.fallback,
            wall=self._time.wall(),
        )
        if not others:
            await self._ended(lease, delivery, result, own=own, next_at=None)
            return
        await self._ended(lease, delivery, result, own=own, next_at=own)
        await self._insist(lambda: self._ledger.fall_back(lease, delivery, others))
        self._wake()

    async def _ended(
        self,
        lease: Lease,
        delivery: Delivery,
        result: Result,
        *,
        own: float,
        next_at: float | None,
    ) -> None:
        await self._insist(
            lambda: self._ledger.end_attempt(lease, delivery, result, own=own, next_at=next_at)
        )

    async def _insist(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write until it is written, or until somebody else acts: what is not known is sent again."""
        pause = 1.0
        while True:
            try:
                await write()
            except LeaseLostError:
                raise
            except Exception:
                log.exception("attempt_not_written")
            else:
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _outcome(result: Result) -> str:
    if isinstance(result, Sent):
        return "sent"
    if isinstance(result, Refused):
        return "refused"
    return "unknown" if result.unknown else "retry"


def _verdict(delivery: Delivery, result: Retry | Refused, own: float) -> tuple[str | None, float]:
    """Return why to give up (``None``: not yet), and when to try again."""
    if isinstance(result, Refused):
        return result.reason, own
    wait = delay(delivery.message.id, delivery.attempts + 1)
    if result.after is not None:
        wait = max(wait, min(result.after, MAX_RETRY_AFTER_SECONDS))
    short = delivery.message.reason in UNSUPPORTED
    limit = GIVE_UP_UNSUPPORTED_SECONDS if short else GIVE_UP_SECONDS
    if own + wait - delivery.since < limit:
        return None, own + wait
    return f"given up after {delivery.attempts + 1} attempts, the last: {result.reason}", own
