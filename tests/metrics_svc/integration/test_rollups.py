"""Whatever happens to writers, an answer is what counting the raw rows gives."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metrics_svc.domain.event import LlmCall, Performance
from metrics_svc.domain.kind import LLM_CALL, PERFORMANCE
from metrics_svc.domain.rollup import FOREVER, RESOLUTIONS
from metrics_svc.domain.window import Window, align
from metrics_svc.engine import Ask
from metrics_svc.store import rollups
from metrics_svc.writer import WriterLostError
from tests.metrics_svc.replica import T0, Clock, Replica, emptied, moment, recounted, told
from tests.metrics_svc.unit.blocks import decoded

HOUR = 3_600
KEPT = dict.fromkeys(RESOLUTIONS, 400 * 86_400)
KINDS = (PERFORMANCE, LLM_CALL)

# Now, a little late, very late, and ahead of time.
offsets = st.one_of(
    st.integers(-40, 0), st.integers(-HOUR, 0), st.integers(-30 * HOUR, 0), st.integers(0, 300)
)
names = st.sampled_from(["search", "chat", "rank"])
flags = st.none() | st.fixed_dictionaries({"ranker": st.sampled_from(["a", "b"])})
event = st.one_of(
    st.tuples(st.just(PERFORMANCE.name), offsets, names, st.integers(0, 5_000), flags),
    st.tuples(st.just(LLM_CALL.name), offsets, names, st.integers(0, 10**12), flags),
)
which = st.integers(0, 1)
acts = st.one_of(
    st.tuples(st.just("send"), which, st.lists(event, min_size=1, max_size=6)),
    st.tuples(
        st.just("burst"),
        st.lists(st.tuples(which, st.lists(event, min_size=1, max_size=3)), min_size=2, max_size=8),
    ),
    st.tuples(st.just("fold"), which),
    st.tuples(st.just("advance"), st.sampled_from([5, 20, 61, 600, 4_000])),
    st.tuples(st.just("fail"), which, st.lists(event, min_size=1, max_size=3)),
    st.tuples(st.just("retire"), which),
    st.tuples(st.just("crash"), which),
    st.tuples(st.just("abandon")),
    st.tuples(st.just("ask"), which, st.integers(1, 2_000), st.integers(0, 4_000)),
)


class StoppedError(Exception):
    """What goes wrong in a transaction that must leave nothing behind."""


class Story:
    """Two replicas on one store and one clock."""

    def __init__(self, pool: Any, stack: AsyncExitStack) -> None:
        self.pool = pool
        self.clock = Clock(T0 + 1_234)
        self._stack = stack
        self._replicas: list[Replica] = []

    async def begin(self) -> None:
        for _ in range(2):
            self._replicas.append(await self._new())

    async def _new(self) -> Replica:
        return await self._stack.enter_async_context(Replica(self.pool, self.clock).running())

    def _events(self, found: list[Any]) -> list[Any]:
        made: list[Any] = []
        for kind, offset, name, number, flag in found:
            at = moment(self.clock.now + offset)
            if kind == PERFORMANCE.name:
                made.append(
                    Performance(timestamp=at, operation=name, duration_ms=number / 7, flags=flag)
                )
            else:
                cost = Decimal(number).scaleb(-9)
                made.append(
                    LlmCall(
                        timestamp=at,
                        operation=name,
                        input_tokens=number % 1_000,
                        cost_usd=cost if number % 3 else None,
                        flags=flag,
                    )
                )
        return made

    async def act(self, name: str, *rest: Any) -> None:
        await getattr(self, name)(*rest)

    async def send(self, who: int, found: list[Any]) -> None:
        events = self._events(found)
        assert await self._replicas[who].ingest.submit_batch(uuid4(), events) == len(events)

    async def burst(self, sends: list[tuple[int, list[Any]]]) -> None:
        """Send all at once, while both replicas fold."""
        await asyncio.gather(*(self.send(*each) for each in sends), self.fold(0), self.fold(1))

    async def fold(self, who: int) -> None:
        await self._replicas[who].writer.fold(self.pool)

    async def advance(self, seconds: int) -> None:
        self.clock.now += seconds

    async def fail(self, who: int, found: list[Any]) -> None:
        replica = self._replicas[who]
        prepared = await replica.ingest.prepare(self._events(found))
        # In a burst another replica may have retired an abandoned writer: that fails as well.
        with suppress(StoppedError, WriterLostError):
            async with (
                self.pool.acquire() as connection,
                connection.transaction(),
                replica.writer.turn(connection) as turn,
            ):
                await turn.add(prepared.totals)
                raise StoppedError

    async def retire(self, who: int) -> None:
        await self._replicas[who].writer.retire(self.pool)

    async def crash(self, who: int) -> None:
        self._replicas[who] = await self._new()

    async def abandon(self) -> None:
        await self.pool.execute("UPDATE metrics.writers SET seen_at = now() - interval '1 hour'")

    async def ask(self, who: int, minutes: int, back: int) -> None:
        end = self.clock.now - back
        window = align(end - minutes * 60, end, now=self.clock.now, kept=KEPT)
        await self._check(self._replicas[who], window)

    async def check_all(self) -> None:
        for replica, hours in itertools.product(self._replicas, (1, 40)):
            start = int(self.clock.now) // 10 * 10 - hours * HOUR
            await self._check(replica, Window(start, start + (hours + 1) * HOUR))

    async def _check(self, replica: Replica, window: Window) -> None:
        asks = [Ask(kind, ("operation",), histogram=True) for kind in KINDS]
        for kind, summary in zip(KINDS, await replica.engine.ask(window, asks), strict=True):
            assert told(summary) == await recounted(self.pool, kind, window)


@settings(max_examples=30, deadline=timedelta(seconds=20), suppress_health_check=list(HealthCheck))
@given(history=st.lists(acts, min_size=3, max_size=18))
async def test_answers_equal_a_recount_after_any_history(
    core_pool: Any, history: list[Any]
) -> None:
    await emptied(core_pool)
    async with AsyncExitStack() as stack:
        story = Story(core_pool, stack)
        await story.begin()

        for act in history:
            await story.act(*act)

        await story.check_all()


async def test_every_resolution_adds_up_once_all_is_folded(pool: Any) -> None:
    clock = Clock(T0 + 100)
    async with Replica(pool, clock).running() as one:
        for at in range(T0 - 5_000, T0 + 9_000, 97):
            clock.now = max(clock.now, at)
            await one.ingest.submit_batch(
                uuid4(), [Performance(timestamp=moment(at), operation="x", duration_ms=at % 991)]
            )
            await one.writer.fold(pool)
        await one.writer.retire(pool)

        for resolution in RESOLUTIONS:
            rows = await pool.fetch(
                "SELECT totals FROM metrics.rollups WHERE resolution = $1", resolution
            )
            stored = decoded(2, [0] * len(rows), [row["totals"] for row in rows], [b""] * len(rows))
            assert stored.totals["counters"][:, 0].sum() == len(range(T0 - 5_000, T0 + 9_000, 97))


async def test_folding_twice_changes_nothing(pool: Any) -> None:
    clock = Clock(T0 + 500)
    everything = "SELECT * FROM metrics.rollups ORDER BY kind, resolution, bucket, part, writer"
    async with Replica(pool, clock).running() as one:
        events = [Performance(timestamp=moment(T0 + 30), operation="x", duration_ms=5)]
        await one.ingest.submit_batch(uuid4(), events)
        writer = await pool.fetchval("SELECT id FROM metrics.writers")
        await rollups.fold(pool, writer, T0 + 480)
        before = await pool.fetch(everything)

        assert await rollups.fold(pool, writer, T0 + 480)

        assert await pool.fetch(everything) == before


async def test_retired_writer_is_not_folded_again(pool: Any) -> None:
    async with Replica(pool, Clock()).running() as one:
        events = [Performance(timestamp=moment(T0), operation="x", duration_ms=5)]
        await one.ingest.submit_batch(uuid4(), events)
        writer = await pool.fetchval("SELECT id FROM metrics.writers")

        folded = [await rollups.fold(pool, writer, FOREVER) for _ in range(2)]

    assert folded == [True, False]


async def test_replica_finishes_for_one_that_is_gone(pool: Any) -> None:
    clock = Clock(T0 + 100)
    window = Window(T0, T0 + HOUR)
    async with Replica(pool, clock).running() as gone, Replica(pool, clock).running() as other:
        events = [Performance(timestamp=moment(T0 + 50), operation="x", duration_ms=5)]
        await gone.ingest.submit_batch(uuid4(), events)
        await pool.execute("UPDATE metrics.writers SET seen_at = now() - interval '1 hour'")

        await other.writer.fold(pool)

        live = "SELECT count(*) FROM metrics.writers WHERE retired_at IS NULL"
        assert await pool.fetchval(live) == 0
        (summary,) = await other.engine.ask(window, [Ask(PERFORMANCE)])
        assert summary.counters.tolist() == [[1, 0]]


async def test_writer_that_was_thought_gone_goes_on_under_a_new_id(pool: Any) -> None:
    clock = Clock(T0 + 100)
    async with Replica(pool, clock).running() as slow, Replica(pool, clock).running() as other:
        events = [Performance(timestamp=moment(T0 + 50), operation="x", duration_ms=5)]
        await slow.ingest.submit_batch(uuid4(), events)
        await pool.execute("UPDATE metrics.writers SET seen_at = now() - interval '1 hour'")
        await other.writer.fold(pool)

        stored = await slow.ingest.submit_batch(uuid4(), events)

        assert stored == 1
        (summary,) = await slow.engine.ask(Window(T0, T0 + HOUR), [Ask(PERFORMANCE)])
        assert summary.counters.tolist() == [[2, 0]]


async def test_answers_hold_while_replicas_write_and_fold(pool: Any) -> None:
    clock = Clock(T0 + 3_590)
    window = Window(T0, T0 + 2 * HOUR)
    seen: list[int] = []
    async with Replica(pool, clock).running() as one, Replica(pool, clock).running() as other:

        async def write(replica: Replica) -> None:
            for number in range(40):
                event = Performance(
                    timestamp=moment(clock.now - number), operation="x", duration_ms=1
                )
                await replica.ingest.submit_batch(uuid4(), [event])
                clock.now += 3
                if number % 5 == 0:
                    await replica.writer.fold(pool)

        async def read() -> None:
            while not writing.done():
                (summary,) = await one.engine.ask(window, [Ask(PERFORMANCE)])
                seen.append(int(summary.counters[0][0]))

        writing = asyncio.gather(write(one), write(other))
        await asyncio.gather(writing, read())
        (summary,) = await other.engine.ask(window, [Ask(PERFORMANCE)])

    assert summary.counters[0][0] == 80
    # A reader in between never sees an event disappear or count twice.
    assert seen == sorted(seen)
    assert seen[-1] <= 80


@pytest.mark.parametrize("start", [T0 - 7 * 86_400, T0 - HOUR - 20, T0 - 10, T0])
async def test_events_of_any_age_are_answered_for_at_once(pool: Any, start: int) -> None:
    async with Replica(pool, Clock(T0 + 5)).running() as one:
        event = Performance(timestamp=moment(start), operation="x", duration_ms=4)
        await one.ingest.submit_batch(uuid4(), [event])

        (summary,) = await one.engine.ask(
            Window(start, start + 10), [Ask(PERFORMANCE, histogram=True)]
        )

    assert summary.counters.tolist() == [[1, 0]]
    assert summary.quantile(0.5).tolist() == [4.0]


async def test_late_totals_beyond_the_memory_limit_still_add_up(pool: Any) -> None:
    window = Window(T0 - 7 * 24 * HOUR, T0)
    async with Replica(pool, Clock(T0 + 30)).running() as one:
        for batch in range(7):
            events = [
                Performance(
                    timestamp=moment(window.start + number * 120 + batch * 20),
                    operation="x",
                    duration_ms=number % 50,
                )
                for number in range(5_000)
            ]
            await one.ingest.submit_batch(uuid4(), events)

        (summary,) = await one.engine.ask(
            window, [Ask(PERFORMANCE, ("operation",), histogram=True)]
        )
        (finest,) = await one.engine.ask(
            Window(window.start, window.end, 10_000), [Ask(PERFORMANCE, stepped=True)]
        )

        assert told(summary) == await recounted(pool, PERFORMANCE, window)
        assert finest.counter("count").sum() == 35_000
        # What was let go began anew under another writer.
        late = "SELECT count(*) FROM metrics.writers WHERE folded_60 = $1"
        assert await pool.fetchval(late, FOREVER) > 1
