"""When it is evaluated and when it is only decided, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from alerts_svc.domain.world import World
from alerts_svc.evaluator.evaluator import EVERYTHING
from alerts_svc.evaluator.news import Announcement, News, Scope
from alerts_svc.evaluator.ticker import Ticker
from tests.alerts_svc.sending import Clock
from tests.alerts_svc.simulation.virtual import in_virtual_time
from windsock_kit.loops import PeriodicLoop


class Evaluated:
    """Notes what it was asked to do, and when."""

    def __init__(self) -> None:
        self.began = asyncio.get_running_loop().time()
        self.news = News()
        self.world: World | None = World(1)
        self.ticks: list[tuple[float, Scope | None]] = []
        self.reloads = 0
        self.acting = True
        self.left_over = False
        self.fault: Exception | None = None

    def reload(self) -> None:
        self.reloads += 1

    async def tick(self, scope: Scope | None) -> bool:
        self.ticks.append((asyncio.get_running_loop().time() - self.began, scope))
        if self.fault is not None:
            raise self.fault
        return self.acting

    def times(self, *, whole: bool) -> list[float]:
        return [at for at, scope in self.ticks if (scope is EVERYTHING) is whole]


@asynccontextmanager
async def ticking(evaluator: Evaluated) -> AsyncGenerator[Ticker]:
    def loop(name: str, tick: object, *, interval: float) -> PeriodicLoop:
        clock = asyncio.get_running_loop().time
        return PeriodicLoop(name, tick, interval=interval, clock=clock)  # type: ignore[arg-type]

    ticker = Ticker(evaluator, Clock(), interval=5, gap=1, make_loop=loop)  # type: ignore[arg-type]
    task = asyncio.create_task(ticker.loop.run())
    try:
        yield ticker
    finally:
        ticker.loop.stop()
        await task


@in_virtual_time
async def test_everything_is_evaluated_every_interval_whatever_comes_in_between() -> None:
    evaluator = Evaluated()

    async with ticking(evaluator) as ticker:
        for _ in range(20):
            await asyncio.sleep(0.99)
            ticker.wake()
        await asyncio.sleep(0.5)

    assert evaluator.times(whole=True) == pytest.approx([0, 5, 10, 15, 20], abs=0.01)
    assert len(evaluator.times(whole=False)) >= 19


@in_virtual_time
async def test_announced_data_is_looked_at_once_in_a_gap() -> None:
    evaluator = Evaluated()

    async with ticking(evaluator) as ticker:
        await asyncio.sleep(2)
        for _ in range(19):
            ticker.announced(Announcement(frozenset({"cache"})))
            await asyncio.sleep(0.1)

    partly = [at for at, scope in evaluator.ticks if scope not in (None, EVERYTHING)]
    assert partly == pytest.approx([2.0, 3.0], abs=0.01)


@in_virtual_time
async def test_what_is_left_over_in_the_inbox_does_not_wait() -> None:
    evaluator = Evaluated()

    async with ticking(evaluator):
        await asyncio.sleep(2)
        evaluator.left_over = True
        await asyncio.sleep(3.5)
        evaluator.left_over = False

    assert evaluator.times(whole=True) == pytest.approx([0, 5.0], abs=0.01)
    assert len(evaluator.ticks) > 2


@in_virtual_time
async def test_what_people_change_is_evaluated_soon() -> None:
    evaluator = Evaluated()

    async with ticking(evaluator) as ticker:
        await asyncio.sleep(2)
        ticker.changed()
        await asyncio.sleep(0.5)

    assert evaluator.reloads == 1
    assert evaluator.times(whole=True) == pytest.approx([0, 2.0], abs=0.01)


@in_virtual_time
async def test_what_failed_is_tried_again_within_a_second() -> None:
    evaluator = Evaluated()
    evaluator.fault = ConnectionResetError()

    async with ticking(evaluator):
        await asyncio.sleep(2.5)

    assert evaluator.times(whole=True) == pytest.approx([0, 1, 2], abs=0.01)


@in_virtual_time
async def test_the_first_tick_with_the_lease_evaluates() -> None:
    evaluator = Evaluated()
    evaluator.acting = False

    async with ticking(evaluator) as ticker:
        await asyncio.sleep(1)
        evaluator.acting = True
        ticker.changed()
        await asyncio.sleep(0.1)

    assert evaluator.times(whole=True) == pytest.approx([0, 1], abs=0.01)
