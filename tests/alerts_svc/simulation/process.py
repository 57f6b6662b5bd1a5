"""One replica of the service as the process has it, on a store, receivers and clocks that can fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

import msgspec
from prometheus_client import CollectorRegistry

from alerts_svc.clients.measures import Answers, History, MeasuresError
from alerts_svc.clients.roster import Roster
from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.domain.message import Message
from alerts_svc.domain.rule import Query
from alerts_svc.evaluator.evaluator import Evaluator
from alerts_svc.evaluator.ticker import Ticker
from alerts_svc.impairment import INTERVAL_SECONDS, Impairment, Journal, Told
from alerts_svc.instruments import Instruments
from alerts_svc.lease_keeper import LeaseKeeper
from alerts_svc.ports import Result
from alerts_svc.sender.sender import Sender
from alerts_svc.timekeeper import Timekeeper
from tests.alerts_svc.memory import MemoryLedger, MemoryStore
from windsock_kit.loops import PeriodicLoop

LEASE_SECONDS = 8.0
IMPAIRED_SECONDS = 15.0
GRACE_SECONDS = 5.0
# Nobody reads them here, and making them takes time.
_REGISTRY = CollectorRegistry()
_INSTRUMENTS = Instruments(_REGISTRY)


class StoreAwayError(Exception):
    """The store does not answer; whether the transaction was committed is not known."""


class Surroundings(Protocol):
    """What a process meets outside of itself."""

    @property
    def store(self) -> MemoryStore:
        """Return the database."""
        ...

    @property
    def interval(self) -> float:
        """Return the seconds between two evaluations."""
        ...

    async def store_called(self, process: Process, point: str) -> None:
        """Pass, take time, or raise, before or after a transaction."""
        ...

    async def measured(self, queries: Sequence[Query], seconds: float | None) -> Answers:
        """Answer as metrics-svc does."""
        ...

    async def received(
        self, process: Process, channel: str, message: Message, *, direct: bool
    ) -> Result:
        """Answer as a channel's receiver does. ``direct`` is what does not come from the outbox."""
        ...


class Process:
    """A replica. A crash loses all that it has in memory; a pause lets nothing of it out until it ends."""

    def __init__(self, name: str, surroundings: Surroundings) -> None:
        self.name = name
        self._around = surroundings
        self._life = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._going = asyncio.Event()
        self._going.set()
        self._journal = _Disk()
        self._end = asyncio.Event()
        self.keeper: LeaseKeeper | None = None
        self.ticker: Ticker | None = None

    @property
    def alive(self) -> bool:
        """Return whether it runs, be it paused, and is not about to end."""
        return bool(self._tasks) and not self._end.is_set()

    @property
    def acting(self) -> bool:
        """Return whether it believes that it holds the lease."""
        return self.keeper is not None and self.keeper.lease is not None

    @property
    def paused(self) -> bool:
        """Return whether it stands still."""
        return not self._going.is_set()

    def start(self) -> None:
        """Start with nothing in memory."""
        self._life += 1
        around, life = self._around, _Life(self, self._life)
        monotonic = asyncio.get_running_loop().time
        ledger = MemoryLedger(around.store, monotonic=monotonic, point=life.point)
        time = Timekeeper(monotonic=monotonic, clock=around.store.clock)
        owner = f"{self.name}{self._life}"
        self.keeper = keeper = LeaseKeeper(ledger, time, owner, ttl=LEASE_SECONDS)
        evaluator = Evaluator(
            ledger,
            _Measures(life),
            keeper,
            time,
            committed=lambda changes: sender.wake() if changes.messages else None,
            instruments=_INSTRUMENTS,
        )

        def make_loop(
            name: str, tick: Callable[[], Awaitable[None]], *, interval: float
        ) -> PeriodicLoop:
            return PeriodicLoop(name, tick, interval=interval, clock=monotonic, registry=_REGISTRY)

        self.ticker = ticker = Ticker(
            evaluator, time, interval=around.interval, gap=1.0, make_loop=make_loop
        )
        keeper.changed = ticker.changed
        transports = {kind.value: _Transport(life) for kind in Kind}
        sender = Sender(
            ledger,
            transports,
            keeper,
            time,
            world=lambda: evaluator.world,
            instruments=_INSTRUMENTS,
            registry=_REGISTRY,
        )
        impairment = Impairment(
            keeper,
            evaluator,
            {kind.value: _Transport(life, direct=True) for kind in Kind},
            time,
            after_seconds=IMPAIRED_SECONDS,
            journal=self._journal,
            roster=Roster(None),
            load=ledger.load,
            wake=ticker.wake,
        )
        loops = (
            make_loop("lease", keeper.tick, interval=keeper.interval),
            make_loop("impairment", impairment.tick, interval=INTERVAL_SECONDS),
            ticker.loop,
        )
        self._tasks = [asyncio.create_task(loop.run()) for loop in loops]
        self._end = asyncio.Event()
        self._tasks.append(asyncio.create_task(_sending(sender, self._end)))

    def crash(self) -> None:
        """Die at once: SIGKILL."""
        tasks, self._tasks = self._tasks, []
        self.keeper = self.ticker = None
        self._going.set()
        for task in tasks:
            task.cancel()

    async def stop(self) -> None:
        """End in order: SIGTERM."""
        keeper, ticker, sending = self.keeper, self.ticker, self._tasks[-1]
        assert keeper is not None
        assert ticker is not None
        ticker.loop.stop()
        self._end.set()
        await asyncio.wait([sending])
        with suppress(StoreAwayError, TimeoutError):
            # A process that was killed meanwhile never gets there.
            async with asyncio.timeout(GRACE_SECONDS):
                await keeper.resign()
        self.crash()

    def pause(self) -> None:
        """Stop where it is: SIGSTOP."""
        self._going.clear()

    def resume(self) -> None:
        """Go on from there, whatever has happened meanwhile: SIGCONT."""
        self._going.set()

    async def pass_gate(self, life: int) -> None:
        """Wait while it is paused; what a process that has died would do never happens."""
        cancelled = False
        while self.paused:
            try:
                await self._going.wait()
            except asyncio.CancelledError:
                # That its time is up, such as a timeout's, a process learns when it goes on.
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError
        if life != self._life or not self._tasks:
            await asyncio.get_running_loop().create_future()

    @property
    def around(self) -> Surroundings:
        """Return what it is surrounded by."""
        return self._around


async def _sending(sender: Sender, end: asyncio.Event) -> None:
    async with sender.running(grace=GRACE_SECONDS):
        await end.wait()


class _Life:
    """All that one life of a process does outside of itself goes through here."""

    def __init__(self, process: Process, number: int) -> None:
        self._process = process
        self._number = number

    async def point(self, point: str) -> None:
        await self._process.pass_gate(self._number)
        await self._process.around.store_called(self._process, point)
        await self._process.pass_gate(self._number)

    async def ask(self, queries: Sequence[Query], seconds: float | None) -> Answers:
        await self._process.pass_gate(self._number)
        try:
            answers = await self._process.around.measured(queries, seconds)
        except MeasuresError:
            await self._process.pass_gate(self._number)
            raise
        await self._process.pass_gate(self._number)
        return answers

    async def send(self, channel: str, message: Message, *, direct: bool) -> Result:
        await self._process.pass_gate(self._number)
        # What is on its way arrives, whatever becomes of the sender.
        call = asyncio.ensure_future(
            self._process.around.received(self._process, channel, message, direct=direct)
        )
        result = await asyncio.shield(call)
        await self._process.pass_gate(self._number)
        return result


class _Measures:
    def __init__(self, life: _Life) -> None:
        self._life = life

    async def ask(
        self, queries: Sequence[Query], *, wall: float, seconds: float | None = None
    ) -> Answers:
        return await self._life.ask(queries, seconds)

    async def history(
        self, queries: Sequence[Query], *, begin: float, end: float, step_seconds: int
    ) -> Mapping[Query, History]:
        raise MeasuresError(f"nobody keeps {begin} to {end} by {step_seconds} of {queries}")


class _Transport:
    def __init__(self, life: _Life, *, direct: bool = False) -> None:
        self._life = life
        self._direct = direct

    async def send(self, channel: Channel, message: Message, *, wall: float) -> Result:
        assert wall > 0
        return await self._life.send(channel.name, message, direct=self._direct)


class _Disk(Journal):
    """A journal that a crash leaves as it was."""

    def __init__(self) -> None:
        super().__init__("")
        self._content: bytes | None = None

    def read(self) -> Told | None:
        return None if self._content is None else msgspec.json.decode(self._content, type=Told)

    def write(self, told: Told | None) -> None:
        self._content = None if told is None else msgspec.json.encode(told)
