"""The registry of series: one id for each, bounded in number, agreed on by all processes."""

from __future__ import annotations

import asyncio
import random
from typing import Any
from uuid import uuid4

import pytest

from metrics_svc.domain.event import MAX_NAME, Performance
from metrics_svc.domain.kind import LLM_CALL, OTHER, PERFORMANCE
from metrics_svc.domain.summary import TooManyCellsError
from metrics_svc.domain.window import Window
from metrics_svc.engine import Ask
from metrics_svc.store.series import SeriesRegistry
from tests.metrics_svc.replica import T0, Clock, Replica, moment
from windsock_kit.errors import UnavailableError

KIND = PERFORMANCE.name
WINDOW = Window(T0, T0 + 3_600)


def series(name: str, **dimensions: str | None) -> Any:
    given = {"operation": name, "environment": "production", **dimensions}
    return tuple(given.get(dimension) for dimension in PERFORMANCE.dimensions)


def event(name: str, **fields: Any) -> Performance:
    return Performance(timestamp=moment(T0 + 5), operation=name, duration_ms=10, **fields)


async def test_same_series_has_one_id_in_every_process(pool: Any) -> None:
    wanted = [series(f"o{n}") for n in range(20)]
    registries = [SeriesRegistry(pool, new_per_hour=100) for _ in range(4)]

    found = await asyncio.gather(*(r.ensure(KIND, wanted, now=0) for r in registries))

    assert len({tuple(ids[s] for s in wanted) for ids in found}) == 1
    assert len({found[0][s] for s in wanted}) == 20


async def test_thousands_of_new_series_are_made_up_to_the_limit(pool: Any) -> None:
    registry = SeriesRegistry(pool, new_per_hour=1_100)
    wanted = [series(f"o{n}") for n in range(1_200)]

    ids = await registry.ensure(KIND, wanted, now=0)

    assert len({ids[s] for s in wanted}) == 1_101
    assert registry.limited == 100
    assert await pool.fetchval("SELECT count(*) FROM metrics.series") == 1_101
    # One transaction for each, as thousands of waits for the disk, would be seen here.
    assert await pool.fetchval("SELECT count(DISTINCT xmin::text) FROM metrics.series") == 4


async def test_absent_dimension_differs_from_every_name(pool: Any) -> None:
    registry = SeriesRegistry(pool, new_per_hour=100)
    wanted = [series("x"), series("x", gap_priority="None"), series("x", gap_priority="NULL")]

    ids = await registry.ensure(KIND, wanted, now=0)

    assert len({ids[s] for s in wanted}) == 3


@pytest.mark.parametrize(
    ("first", "letters"),
    [(0x20, 90), (0xC0, 400), (0x4E00, 20_000), (0x20000, 40_000)],
    ids=["ascii", "latin", "chinese", "rare chinese"],
)
async def test_longest_names_of_any_script_have_a_series(
    pool: Any, first: int, letters: int
) -> None:
    rng = random.Random(1)
    longest = tuple(
        "".join(chr(first + rng.randrange(letters)) for _ in range(MAX_NAME))
        for _ in LLM_CALL.dimensions
    )
    registry, other = (SeriesRegistry(pool, new_per_hour=100) for _ in range(2))

    ids = await registry.ensure(LLM_CALL.name, [longest], now=0)
    again = await other.ensure(LLM_CALL.name, [longest], now=0)

    assert ids[longest] == again[longest]


async def test_series_beyond_the_limit_count_together_as_other(pool: Any) -> None:
    async with Replica(pool, Clock(T0 + 10), new_per_hour=3).running() as one:
        await one.ingest.submit_batch(uuid4(), [event(f"o{n}") for n in range(8)])
        await one.ingest.submit_batch(uuid4(), [event(f"o{n}") for n in range(8)])

        (summary,) = await one.engine.ask(WINDOW, [Ask(PERFORMANCE, ("operation",))])

    counts = dict(zip(summary.groups, summary.counter("count").tolist(), strict=True))
    assert counts == {("o0",): 2, ("o1",): 2, ("o2",): 2, (OTHER,): 10}
    assert one.series.limited > 0


async def test_event_with_a_flag_beyond_the_limit_counts_once_in_plain_totals(pool: Any) -> None:
    async with Replica(pool, Clock(T0 + 10), new_per_hour=1).running() as one:
        events = [event(f"o{n}", flags={"ranker": "a"}) for n in range(5)]
        await one.ingest.submit_batch(uuid4(), events)

        plain, flagged = await one.engine.ask(
            WINDOW, [Ask(PERFORMANCE), Ask(PERFORMANCE, ("flag_key",))]
        )

    assert plain.counter("count").tolist() == [5]
    assert flagged.counter("count").sum() == 5


async def test_room_for_new_series_comes_back_after_an_hour(pool: Any) -> None:
    registry = SeriesRegistry(pool, new_per_hour=2)
    await registry.ensure(KIND, [series("a"), series("b")], now=0)

    full = await registry.ensure(KIND, [series("c")], now=3_599)
    later = await registry.ensure(KIND, [series("c")], now=3_661)

    assert full[series("c")] != later[series("c")]
    assert registry.known(KIND)[full[series("c")]][0] == OTHER
    assert registry.known(KIND)[later[series("c")]] == series("c")


async def test_series_that_were_there_before_a_restart_are_not_new(pool: Any) -> None:
    wanted = [series(f"o{n}") for n in range(10)]
    for start in range(0, 10, 5):
        await SeriesRegistry(pool, new_per_hour=5).ensure(KIND, wanted[start : start + 5], now=0)
    restarted = SeriesRegistry(pool, new_per_hour=1)

    ids = await restarted.ensure(KIND, [*wanted, series("new")], now=0)

    assert restarted.limited == 0
    assert [restarted.known(KIND)[ids[s]] for s in [*wanted, series("new")]] == [
        *wanted,
        series("new"),
    ]


async def test_engine_learns_the_series_of_other_processes(pool: Any) -> None:
    clock = Clock(T0 + 10)
    async with Replica(pool, clock).running() as one, Replica(pool, clock).running() as other:
        for name in ("a", "b", "c"):
            await one.ingest.submit_batch(uuid4(), [event(name)])
            (summary,) = await other.engine.ask(WINDOW, [Ask(PERFORMANCE, ("operation",))])
            assert (name,) in summary.groups
            await other.ingest.submit_batch(uuid4(), [event(name + "2")])
            (summary,) = await one.engine.ask(WINDOW, [Ask(PERFORMANCE, ("operation",))])
            assert (name + "2",) in summary.groups

        (summary,) = await other.engine.ask(WINDOW, [Ask(PERFORMANCE)])

    assert summary.counter("count").tolist() == [6]


async def test_failure_half_way_does_not_spoil_the_next_try(pool: Any) -> None:
    registry = SeriesRegistry(pool, new_per_hour=100)
    wanted = [series("a"), series("b")]
    await pool.execute(
        "ALTER TABLE metrics.series ADD CONSTRAINT broken CHECK (dimensions[1] <> 'b')"
    )
    try:
        with pytest.raises(Exception, match="broken"):
            await registry.ensure(KIND, wanted, now=0)
    finally:
        await pool.execute("ALTER TABLE metrics.series DROP CONSTRAINT broken")

    ids = await registry.ensure(KIND, wanted, now=0)

    assert len({ids[s] for s in wanted}) == 2


async def test_answers_do_not_depend_on_how_many_series_there_ever_were(pool: Any) -> None:
    await pool.execute(
        """
        INSERT INTO metrics.series (kind, dimensions, digest)
        SELECT 'performance', ARRAY['old' || n, 'production', NULL, NULL, NULL, NULL],
            md5(n::text)::uuid
        FROM generate_series(1, 60000) AS n
        """
    )
    async with Replica(pool, Clock(T0 + 10)).running() as one:
        await one.series.load()
        await one.ingest.submit_batch(uuid4(), [event("new")])

        plain, stepped = await one.engine.ask(
            Window(T0, T0 + 3_600, 60),
            [
                Ask(PERFORMANCE, ("operation",), histogram=True),
                Ask(PERFORMANCE, ("operation",), stepped=True),
            ],
        )

    assert plain.groups == [("new",)]
    assert stepped.groups == [("new",)]
    assert stepped.counter("count").sum() == 1


async def test_question_with_too_many_values_is_refused(pool: Any) -> None:
    async with Replica(pool, Clock(T0 + 10)).running() as one:
        await one.ingest.submit_batch(uuid4(), [event(f"o{n}") for n in range(200)])

        with pytest.raises(TooManyCellsError):
            await one.engine.ask(
                Window(T0, T0 + 3_600, 10), [Ask(PERFORMANCE, ("operation",), stepped=True)]
            )


async def test_store_that_is_away_refuses_for_now(pool: Any) -> None:
    async with Replica(pool, Clock(T0 + 10)).running() as one:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("LOCK metrics.series IN ACCESS EXCLUSIVE MODE")
            sending = asyncio.create_task(one.ingest.submit_batch(uuid4(), [event("x")]))
            await asyncio.sleep(0)
            await cut_others(pool, connection)

        with pytest.raises(UnavailableError):
            await sending


async def cut_others(pool: Any, connection: Any) -> None:
    """Cut the session that waits for a lock, once there is one."""
    query = """
        SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND datname = current_database()
    """
    async with asyncio.timeout(10):
        while not await connection.fetchval(query):  # noqa: ASYNC110  PostgreSQL tells nobody.
            await asyncio.sleep(0.01)
