"""Sends everybody who follows an environment what they have not been sent yet.

Nothing waits in a queue: a subscription knows how far its client is, and what that one lacks is
made when it can take it, once for all who lack the same. So who is slow is sent fewer and greater
events, and only who takes nothing at all any more is cut off.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import structlog

from flags_svc.domain.world import Change
from flags_svc.instruments import Instruments
from flags_svc.live.event_id import EventId
from flags_svc.live.replica import Replica
from windsock_kit.errors import UnavailableError

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 5.0
# Some clients reload in a second, and others sit behind a proxy that has to find out first.
PATIENCE_SECONDS = 30.0


class Events(Protocol):
    """How a kind of client is told. All of it is bytes as they go out; ``b""`` sends nothing.

    Called within the event loop, so that nothing changes between a call and what is noted of it.
    """

    def beginning(self, environment: str, last_event_id: str | None) -> bytes:
        """Return what a client is sent first, ``last_event_id`` being what it says it has."""

    def news(self, environment: str, since: EventId) -> bytes:
        """Return what brings a client on that is at ``since``."""

    def heartbeat(self, environment: str) -> bytes:
        """Return what tells that the connection stands."""


class Subscription:
    """One client of one environment, and how far it is."""

    def __init__(
        self, events: Events, environment: str, position: EventId, first: bytes, replica: Replica
    ) -> None:
        self.environment = environment
        self.over = False
        # Since when the client has been taking what it was last given, ``None`` while it has taken all.
        self.taking_since: float | None = None
        self.cut: Callable[[], None] = self.end
        self._events = events
        self._position = position
        self._first = first
        self._replica = replica
        self._beat = False
        self._waiting: asyncio.Future[None] | None = None

    async def next(self) -> bytes:
        """Return the next bytes for the client; ``b""`` when there will be no more.

        To ask is to say that all before has been taken.
        """
        self.taking_since = None
        while not self.over:
            if taken := self._take():
                self.taking_since = time.monotonic()
                return taken
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        return b""

    def _take(self) -> bytes:
        first, self._first = self._first, b""
        if first:
            return first
        position = self._replica.position
        if position != self._position:
            since, self._position = self._position, position
            if told := self._events.news(self.environment, since):
                self._beat = False
                return told
        if self._beat:
            self._beat = False
            return self._events.heartbeat(self.environment)
        return b""

    def wake(self, *, beat: bool = False) -> None:
        """Have the client sent what there is now."""
        self._beat = self._beat or beat
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def end(self) -> None:
        """Send nothing more."""
        self.over = True
        self.wake()


class Hub:
    """All subscriptions of this process, at most ``limit``."""

    def __init__(self, replica: Replica, instruments: Instruments, *, limit: int) -> None:
        self._replica = replica
        self._instruments = instruments
        self._limit = limit
        self._subscriptions: set[Subscription] = set()
        replica.watchers.append(self._changed)

    def __len__(self) -> int:
        return len(self._subscriptions)

    def subscribe(
        self, environment: str, last_event_id: str | None, events: Events
    ) -> Subscription:
        """Begin to follow ``environment``; ``leave`` ends it.

        Raises ``NotFoundError`` for an environment that is not there, and ``UnavailableError`` with
        too many here already or without a world yet.
        """
        if len(self._subscriptions) >= self._limit:
            raise UnavailableError(f"{self._limit} streams are open here already", retry_after=10.0)
        position = self._replica.position
        self._replica.in_force(environment)
        first = events.beginning(environment, last_event_id)
        made = Subscription(events, environment, position, first, self._replica)
        self._subscriptions.add(made)
        return made

    def leave(self, subscription: Subscription) -> None:
        """Forget a subscription."""
        subscription.end()
        self._subscriptions.discard(subscription)

    def _changed(self, _: Sequence[Change]) -> None:
        there: Collection[str] = self._replica.world.environments
        for each in self._subscriptions:
            if each.environment in there:
                each.wake()
            else:
                each.end()

    async def beat(self) -> None:
        """Tell every client that its connection stands; cut off those that have long taken nothing."""
        latest = time.monotonic() - PATIENCE_SECONDS
        cut: Counter[str] = Counter()
        for each in list(self._subscriptions):
            if each.taking_since is None or each.taking_since > latest:
                each.wake(beat=True)
                continue
            self._instruments.cut_off.inc()
            cut[each.environment] += 1
            each.end()
            each.cut()
        # Thousands may be cut off at once, when the network between goes.
        if cut:
            log.warning("subscribers_cut_off", count=cut.total(), environments=dict(cut))
