import asyncio
import signal
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from windsock_kit.loops import PeriodicLoop, running
from windsock_kit.testing import FakeClock


class Tick:
    """A job that says when it ran, and fails while told to."""

    def __init__(self, clock: FakeClock | None = None, takes: float = 0.0) -> None:
        self.count = 0
        self.failing = False
        self.ran = asyncio.Event()
        self._clock = clock
        self._takes = takes

    async def __call__(self) -> None:
        self.count += 1
        self.ran.set()
        if self._clock is not None:
            self._clock.advance(self._takes)
        if self.failing:
            raise RuntimeError("bad item")

    async def again(self) -> None:
        async with asyncio.timeout(5):
            await self.ran.wait()
        self.ran.clear()


@pytest.fixture
def terminated() -> Iterator[asyncio.Event]:
    received = asyncio.Event()
    previous = signal.signal(signal.SIGTERM, lambda *_: received.set())
    yield received
    signal.signal(signal.SIGTERM, previous)


async def test_success_is_noted_with_its_time() -> None:
    clock = FakeClock()
    loop = PeriodicLoop("job", Tick(), interval=10, clock=clock.monotonic)
    clock.advance(3)

    await loop.run_once()

    assert loop.last_success == 3


async def test_failure_is_counted_and_not_raised() -> None:
    registry = CollectorRegistry()
    tick = Tick()
    tick.failing = True
    loop = PeriodicLoop("job", tick, interval=10, registry=registry)

    await loop.run_once()

    assert loop.last_success is None
    assert registry.get_sample_value("loop_ticks_total", {"loop": "job"}) == 1
    assert registry.get_sample_value("loop_failures_total", {"loop": "job"}) == 1


async def test_duration_is_observed() -> None:
    clock, registry = FakeClock(), CollectorRegistry()
    loop = PeriodicLoop(
        "job", Tick(clock, takes=2), interval=10, clock=clock.monotonic, registry=registry
    )

    await loop.run_once()

    assert registry.get_sample_value("loop_tick_duration_seconds_sum", {"loop": "job"}) == 2


async def test_loops_share_one_registry() -> None:
    registry = CollectorRegistry()
    loops = [PeriodicLoop(name, Tick(), interval=1, registry=registry) for name in ("a", "b")]

    await loops[1].run_once()

    assert registry.get_sample_value("loop_ticks_total", {"loop": "a"}) == 0
    assert registry.get_sample_value("loop_ticks_total", {"loop": "b"}) == 1


@pytest.mark.parametrize(("age", "stale"), [(30, False), (31, True)])
async def test_loop_is_stale_after_three_intervals_without_success(age: float, stale: bool) -> None:
    clock, tick = FakeClock(), Tick()
    loop = PeriodicLoop("job", tick, interval=10, clock=clock.monotonic)

    clock.advance(age)
    assert loop.stale is stale

    await loop.run_once()
    tick.failing = True
    clock.advance(age)
    await loop.run_once()
    assert loop.stale is stale


async def test_first_tick_is_at_once_and_wake_brings_the_next() -> None:
    tick = Tick()
    loop = PeriodicLoop("job", tick, interval=3600)

    async with running([loop]):
        await tick.again()
        loop.wake()
        await tick.again()

    assert tick.count == 2


async def test_late_tick_shows_as_lag() -> None:
    clock, registry = FakeClock(), CollectorRegistry()
    tick = Tick(clock, takes=25)
    loop = PeriodicLoop("job", tick, interval=10, clock=clock.monotonic, registry=registry)

    async with running([loop]):
        await tick.again()
        await tick.again()

    assert registry.get_sample_value("loop_lag_seconds", {"loop": "job"}) == 15


async def test_running_tick_may_finish_at_the_end() -> None:
    finished = asyncio.Event()
    started = asyncio.Event()

    async def slow() -> None:
        started.set()
        await asyncio.sleep(0)
        finished.set()

    async with running([PeriodicLoop("slow", slow, interval=3600)]):
        await started.wait()

    assert finished.is_set()


async def test_hanging_tick_is_cancelled_after_the_grace() -> None:
    cancelled = asyncio.Event()
    started = asyncio.Event()

    async def hang() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with running([PeriodicLoop("hang", hang, interval=3600)], grace=0.01):
        await started.wait()

    assert cancelled.is_set()


class LoopKillerError(BaseException):
    """Something that a tick's guard lets pass, as MemoryError's kin would."""


@pytest.mark.parametrize("error", [LoopKillerError, asyncio.CancelledError])
async def test_dead_loop_stops_the_process(
    terminated: asyncio.Event, error: type[BaseException]
) -> None:
    async def die() -> None:
        raise error

    loop = PeriodicLoop("mortal", die, interval=3600)
    async with running([loop]):
        async with asyncio.timeout(5):
            await terminated.wait()


async def test_nothing_to_run_is_fine() -> None:
    async with running([]):
        pass
