"""What is due by the clock, with several processes that all want to do it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from flags_svc.domain.flag import Environment, InEnvironment, ManagedFlag, Step
from flags_svc.domain.world import Change, Edit
from flags_svc.ports import Configuration
from flags_svc.scheduler import Scheduler
from tests.fixtures.servers import RunningPostgres
from tests.flags_svc.replicas import ANN, Process, a_flag, an_edit, put, started, wish
from windsock.flags.definition import Rollout
from windsock_kit.postgres import open_pool
from windsock_kit.testing import FakeClock

T0 = datetime(2026, 11, 22, 12, tzinfo=UTC)
START = T0.timestamp()
PRODUCTION = Edit("environment", "production", Environment("production"), "create")
FLAGS = 10
STEPS = 8
EAGER = """
import asyncio, sys
from flags_svc.ports import Configuration
from flags_svc.scheduler import Scheduler
from tests.flags_svc.replicas import started
from windsock_kit.clock import utc_now
from windsock_kit.postgres import open_pool


async def main():
    async with open_pool(sys.argv[1], application_name="eager", min_size=0, max_size=2) as pool:
        process = await started(pool)
        scheduler = Scheduler(process.live, process.editor, utc_now)
        print("ready", flush=True)
        while True:
            await process.live.catch_up()
            # On the same world until it has moved on: the others decide on it too.
            for _ in range(20):
                await scheduler.tick()
                await asyncio.sleep(0.001)


asyncio.run(main())
"""


def scheduled(key: str, *steps: Step) -> ManagedFlag:
    """Return a flag with steps in production."""
    return a_flag(key, environments={"production": InEnvironment(schedule=steps)})


def in_production(change: Change) -> InEnvironment:
    assert isinstance(change.edit.item, ManagedFlag)
    return change.edit.item.environments["production"]


def share(change: Change) -> int:
    served = in_production(change).fallthrough
    return served.share if isinstance(served, Rollout) else -1


async def prepared(pool: Any, flag: ManagedFlag) -> Process:
    """Return a process in whose world the flag is."""
    process = await started(pool)
    await process.editor.edit(wish(PRODUCTION), ANN)
    await process.editor.edit(put(flag), ANN)
    return process


async def test_a_step_is_done_when_it_is_due_and_not_before(pool: Any) -> None:
    process = await prepared(pool, scheduled("f", Step(at=START + 60, enabled=True)))
    clock = FakeClock(T0)
    scheduler = Scheduler(process.live, process.editor, clock)

    clock.advance(59.9)
    await scheduler.tick()
    assert process.live.world.revision == 2
    clock.advance(0.1)
    await scheduler.tick()
    await scheduler.tick()

    (change,) = await process.configuration.since(2, limit=9)
    assert (change.author.name, change.edit.action) == ("schedule", "schedule")
    assert in_production(change).enabled
    assert in_production(change).schedule[0].done_at == START + 60


async def test_a_progressive_rollout_waits_from_step_to_step(pool: Any) -> None:
    steps = (
        Step(at=START, enabled=True, percentage=1_000),
        Step(after_seconds=3_600.0, percentage=25_000),
        Step(after_seconds=3_600.0, percentage=100_000),
    )
    process = await prepared(pool, scheduled("f", *steps))
    clock = FakeClock(T0)
    scheduler = Scheduler(process.live, process.editor, clock)

    for _ in range(8):
        await scheduler.tick()
        # The second step is late, and the third waits its full time for it.
        clock.advance(1_801)

    changes = await process.configuration.since(2, limit=9)
    assert [share(change) for change in changes] == [1_000, 25_000, 100_000]
    assert [in_production(changes[-1]).schedule[n].done_at for n in range(3)] == [
        START,
        START + 2 * 1_801,
        START + 4 * 1_801,
    ]


async def test_of_two_processes_one_does_what_is_due(pool: Any) -> None:
    first = await prepared(pool, scheduled("f", Step(at=START, percentage=5_000)))
    second = await started(pool)
    clock = FakeClock(T0)

    await asyncio.gather(
        *(Scheduler(each.live, each.editor, clock).tick() for each in (first, second))
    )

    assert (await first.configuration.head()).revision == 3
    assert first.live.world == second.live.world


@asynccontextmanager
async def eager_processes(url: str, number: int) -> AsyncGenerator[None]:
    """Run processes for the block that do nothing but look for what is due."""
    eager = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", EAGER, url, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(number)
    ]
    try:
        for each in eager:
            assert each.stdout is not None
            assert await asyncio.wait_for(each.stdout.readline(), 30) == b"ready\n"
        yield
    finally:
        for each in eager:
            each.kill()
            await each.wait()


async def test_two_processes_at_once_do_every_step_exactly_once(pool: Any, flags_url: str) -> None:
    process = await started(pool)
    await process.editor.edit(wish(PRODUCTION), ANN)

    async with eager_processes(flags_url, 2):
        begin = time.time() + 0.2
        flags = [
            scheduled(
                f"f{number}",
                *(
                    Step(at=begin + 0.06 * index + 0.003 * number, percentage=1_000 * (index + 1))
                    for index in range(STEPS)
                ),
            )
            for number in range(FLAGS)
        ]
        await process.editor.edit(wish(*map(an_edit, flags)), ANN)
        base = process.live.world.revision
        changes = await asyncio.wait_for(until_done(process.configuration, base), 40)

    seen: dict[tuple[str, int], float] = {}
    for change in changes:
        for index, step in enumerate(in_production(change).schedule):
            if step.done_at is not None:
                # What is done once stays done as it was.
                assert seen.setdefault((change.edit.key, index), step.done_at) == step.done_at
        assert share(change) == 1_000 * sum(
            step.done_at is not None for step in in_production(change).schedule
        )
    assert len(seen) == FLAGS * STEPS
    # No change without a step that it did.
    done_steps = [
        (change.edit.key, sum(step.done_at is not None for step in in_production(change).schedule))
        for change in changes
    ]
    assert len(set(done_steps)) == len(done_steps)


async def until_done(configuration: Configuration, base: int) -> list[Change]:
    """Return all changes after ``base`` as soon as no step is to come."""
    while True:
        changes = list(await configuration.since(base, limit=10_000))
        last = {change.edit.key: in_production(change).schedule for change in changes}
        if len(last) == FLAGS and all(
            step.done_at is not None for steps in last.values() for step in steps
        ):
            return changes
        await asyncio.sleep(0.02)


async def test_a_hand_on_the_flag_comes_before_its_schedule_or_after_it(pool: Any) -> None:
    process = await prepared(pool, scheduled("f", Step(at=START, enabled=True)))
    other = await started(pool)
    await other.editor.edit(put(scheduled("f")), ANN)

    await Scheduler(process.live, process.editor, FakeClock(T0)).tick()

    assert process.live.world == other.live.world
    assert not process.live.world.flags["f"].item.environments["production"].enabled


async def test_what_is_due_while_the_database_is_away_is_done_when_it_is_back(
    own_postgres: RunningPostgres,
) -> None:
    url = await own_postgres.new_flags_database("flags")
    async with open_pool(url, application_name="test", min_size=0, max_size=2) as pool:
        process = await prepared(pool, scheduled("f", Step(at=START, enabled=True)))
        scheduler = Scheduler(process.live, process.editor, FakeClock(T0))
        own_postgres.stop()

        await scheduler.tick()
        assert process.live.world.revision == 2
        await own_postgres.start()
        await scheduler.tick()

        assert (
            (await process.configuration.load()).flags["f"].item.environments["production"].enabled
        )
