"""What tests of the sender need: messages, receivers that do as told, and a bench in virtual time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from prometheus_client import CollectorRegistry

from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.domain.configuration import Configuration
from alerts_svc.domain.message import Message
from alerts_svc.domain.world import Changes, World
from alerts_svc.instruments import Instruments
from alerts_svc.ports import Delivery, Lease, Result, Sent
from alerts_svc.sender.sender import Sender
from tests.alerts_svc.memory import MemoryLedger, MemoryStore
from tests.alerts_svc.messages import INCIDENT, ITEM, MESSAGE

START = 1_790_000_000.0
TTL = 8.0
INSTRUMENTS = Instruments(CollectorRegistry())

HOOK = Channel("hook", Kind.WEBHOOK)
CHAT = Channel("chat", Kind.SLACK)
PAGER = Channel("pager", Kind.PAGERDUTY)

Answer = Callable[[Message], Awaitable[Result]]


def message(number: int, channel: str = "hook", *, incident: str = INCIDENT) -> Message:
    """Return the message of an incident's transition with that number; its group is the incident's own."""
    return replace(
        MESSAGE,
        id=f"{channel}-{incident}-{number}",
        channel=channel,
        group_key=f"group:{incident}",
        items=(replace(ITEM, incident=incident, sequence=number),),
        told=((incident, number),),
    )


@dataclass
class Keeper:
    """Holds the lease until told that it is lost."""

    lease: Lease | None = None
    refused: list[Lease] = field(default_factory=list)

    def lost(self, lease: Lease) -> None:
        self.refused.append(lease)
        self.lease = None


class WatchedLedger(MemoryLedger):
    """Notes how many messages it was ``asked`` for at once."""

    def __init__(
        self,
        store: MemoryStore,
        *,
        monotonic: Callable[[], float],
        point: Callable[[str], Awaitable[None]],
    ) -> None:
        super().__init__(store, monotonic=monotonic, point=point)
        self.asked: list[int] = []

    async def due(self, channel: str, *, own: float, limit: int) -> Sequence[Delivery]:
        self.asked.append(limit)
        return await super().due(channel, own=own, limit=limit)


class Clock:
    """All clocks go with the loop's."""

    def own(self) -> float:
        return START + asyncio.get_running_loop().time()

    def wall(self) -> float:
        return self.own()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


@dataclass
class Bench:
    """A sender on a store in memory, with a lease that does not end by itself."""

    points: Callable[[str], Awaitable[None]] | None = None
    channels: tuple[Channel, ...] = (HOOK, CHAT, PAGER)
    fallback: str | None = None
    sent: list[tuple[float, Message]] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=lambda: defaultdict(lambda: taken))
    began: float = 0.0

    def __post_init__(self) -> None:
        self.time = Clock()
        self.began = self.time.monotonic()
        self.store = MemoryStore(clock=self.time.wall)
        for channel in self.channels:
            self.store.put_channel(channel)
        self.store.put_configuration(Configuration(fallback=self.fallback))
        row = self.store.campaign("me", ttl=1e9, own=None)
        assert row is not None
        self.lease = Lease("me", row.fence, self.store.revision, row.own, row.wall, float("inf"))
        self.keeper = Keeper(self.lease)
        self.ledger = WatchedLedger(
            self.store, monotonic=self.time.monotonic, point=self.points or _pass
        )
        transports = {kind.value: self for kind in Kind}
        self.sender = Sender(
            self.ledger,
            transports,
            self.keeper,
            self.time,
            world=self.world,
            instruments=INSTRUMENTS,
        )

    def world(self) -> World | None:
        """Return the world as the store has it."""
        return self.store.world()

    def put(self, *messages: Message, wake: bool = True) -> None:
        """Commit messages, and tell the sender of it."""
        lease = replace(self.lease, own=self.time.own())
        self.store.commit(lease, Changes(messages=messages), revision=self.store.revision)
        if wake:
            self.sender.wake()

    async def send(self, channel: Channel, told: Message, *, wall: float) -> Result:
        """Be every transport: note the attempt, and answer as told."""
        assert wall == self.time.wall()
        self.sent.append((self.time.monotonic() - self.began, told))
        return await self.answers[channel.name](told)

    def times(self, channel: str) -> list[float]:
        """Return when attempts on a channel began, in seconds since the start."""
        return [round(at, 3) for at, told in self.sent if told.channel == channel]

    def status(self, told: Message) -> str:
        """Return what has become of a message."""
        return self.store.outbox[told.id].status


async def taken(_: Message) -> Result:
    """Take it."""
    return Sent(200)


def always(result: Result) -> Answer:
    """Return an answer that is always the same."""

    async def answer(_: Message) -> Result:
        return result

    return answer


def first(*results: Result) -> Answer:
    """Return an answer that gives these results in turn, and then takes everything."""
    left = list(results)

    async def answer(_: Message) -> Result:
        return left.pop(0) if left else Sent(200)

    return answer


async def hanging(_: Message) -> Result:
    """Never answer."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError


async def _pass(_: str) -> None:
    """Let every call of the store through."""
