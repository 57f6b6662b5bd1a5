"""Transactions that fail, at every step: the batch is refused, and sent again it is stored once."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from metrics_svc.domain.event import Performance
from metrics_svc.domain.kind import PERFORMANCE
from metrics_svc.domain.rollup import FOREVER
from metrics_svc.domain.window import Window
from metrics_svc.engine import Ask
from metrics_svc.ingest import Prepared
from tests.metrics_svc.proxy import Cut, proxied
from tests.metrics_svc.replica import T0, Clock, Replica, moment, recounted, told
from windsock_kit.errors import UnavailableError
from windsock_kit.postgres import open_pool

WINDOW = Window(T0 - 3_600, T0 + 3_600)
# A sequence does not roll back, so it knows how often a fault has struck.
FAULT = """
    CREATE SEQUENCE metrics.struck;
    CREATE FUNCTION metrics.strike() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('metrics.struck') <= {times} THEN
            {what};
        END IF;
        RETURN NEW;
    END $$;
    CREATE {constraint} TRIGGER strike {when} ON metrics.{table} {deferred}
        FOR EACH ROW EXECUTE FUNCTION metrics.strike()
"""
REMOVE = "DROP FUNCTION IF EXISTS metrics.strike() CASCADE; DROP SEQUENCE IF EXISTS metrics.struck"
FAULTS = {
    "cut": "PERFORM pg_terminate_backend(pg_backend_pid())",
    "full": "RAISE EXCEPTION 'no space' USING errcode = 'disk_full'",
    "deadlock": "RAISE EXCEPTION 'deadlock' USING errcode = 'deadlock_detected'",
    "lock": "RAISE EXCEPTION 'locked' USING errcode = 'lock_not_available'",
}
STEPS = {
    "series": ("BEFORE INSERT", "series"),
    "batches": ("BEFORE INSERT", "batches"),
    "writers": ("BEFORE INSERT", "writers"),
    "raw": ("BEFORE INSERT", "performance"),
    "rollups": ("BEFORE INSERT OR UPDATE", "rollups"),
    "commit": ("AFTER INSERT", "batches"),
}


@pytest.fixture
async def faulty(pool: Any) -> Any:
    """Give a function that makes a step of the transaction fail some times."""

    async def make(step: str, what: str, times: int = 1) -> None:
        when, table = STEPS[step]
        late = step == "commit"
        await pool.execute(
            FAULT.format(
                times=times,
                what=FAULTS[what],
                when=when,
                table=table,
                constraint="CONSTRAINT" if late else "",
                deferred="DEFERRABLE INITIALLY DEFERRED" if late else "",
            )
        )

    yield make
    await pool.execute(REMOVE)


def events(*ages: int) -> list[Any]:
    return [
        Performance(timestamp=moment(T0 + 100 - age), operation="x", duration_ms=age)
        for age in ages
    ]


async def stored_once(replica: Replica, count: int) -> None:
    (summary,) = await replica.engine.ask(
        WINDOW, [Ask(PERFORMANCE, ("operation",), histogram=True)]
    )
    exact = await recounted(replica.pool, PERFORMANCE, WINDOW)
    assert exact["x"][0][0] == count
    assert told(summary) == exact


@pytest.mark.parametrize("what", FAULTS)
@pytest.mark.parametrize("step", STEPS)
async def test_batch_whose_transaction_fails_is_stored_once_when_sent_again(
    pool: Any, faulty: Any, step: str, what: str
) -> None:
    batch, found = uuid4(), events(0, 10, 500)
    async with Replica(pool, Clock(T0 + 110)).running() as one:
        await faulty(step, what)

        with pytest.raises(UnavailableError):
            await one.ingest.submit_batch(batch, found)
        again = await one.ingest.submit_batch(batch, found)
        repeated = await one.ingest.submit_batch(batch, found)

        assert (again, repeated) == (3, None)
        await stored_once(one, 3)
        await one.writer.fold(pool)
        await one.writer.retire(pool)
        await stored_once(one, 3)


@pytest.mark.parametrize("step", ["raw", "rollups", "commit"])
async def test_failure_in_the_middle_of_a_life_leaves_what_was_there(
    pool: Any, faulty: Any, step: str
) -> None:
    clock = Clock(T0 + 110)
    async with Replica(pool, clock).running() as one:
        await one.ingest.submit_batch(uuid4(), events(0, 10, 4_000))
        await faulty(step, "cut")
        batch = uuid4()
        with pytest.raises(UnavailableError):
            await one.ingest.submit_batch(batch, events(0, 10, 4_000))

        clock.now += 70
        await one.writer.fold(pool)
        await one.ingest.submit_batch(batch, events(0, 10, 4_000))

        # The events of 4,000 seconds ago lie before the window.
        await stored_once(one, 4)
        live = await pool.fetchval(
            "SELECT count(*) FROM metrics.writers WHERE retired_at IS NULL AND folded_60 < $1",
            FOREVER,
        )
        assert live == 1


async def test_batches_that_share_a_failed_transaction_are_all_refused(
    pool: Any, faulty: Any
) -> None:
    async with Replica(pool, Clock(T0 + 110)).running() as one:
        await one.ingest.submit_batch(uuid4(), events(0))
        await faulty("rollups", "cut")
        batches = [uuid4() for _ in range(5)]

        first = await asyncio.gather(
            *(one.ingest.submit_batch(batch, events(5)) for batch in batches),
            return_exceptions=True,
        )
        await asyncio.gather(*(one.ingest.submit_batch(batch, events(5)) for batch in batches))

        assert {type(outcome) for outcome in first} <= {UnavailableError, int}
        assert any(isinstance(outcome, UnavailableError) for outcome in first)
        await stored_once(one, 6)


async def test_batch_that_the_store_cannot_hold_does_not_cost_the_others(
    pool: Any, faulty: Any
) -> None:
    good = [uuid4() for _ in range(4)]
    # The trigger would refuse any row; this one is wrong by itself: PostgreSQL has no NUL in text.
    wrong = [Performance(timestamp=moment(T0), operation="x", duration_ms=1, user_id="a\0b")]
    async with Replica(pool, Clock(T0 + 110)).running() as one:
        outcomes = await asyncio.gather(
            one.ingest.submit_batch(good[0], events(0)),
            one.ingest.submit_batch(uuid4(), wrong),
            *(one.ingest.submit_batch(batch, events(1)) for batch in good[1:]),
            return_exceptions=True,
        )

        assert [outcome for outcome in outcomes if isinstance(outcome, int)] == [1, 1, 1, 1]
        assert isinstance(outcomes[1], asyncpg.PostgresError)
        await stored_once(one, 4)


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_commit_whose_answer_is_lost_is_settled_by_sending_again(
    core_url: str, pool: Any, cut: Cut
) -> None:
    batch, other = uuid4(), uuid4()
    async with (
        proxied(core_url) as (proxy, url),
        open_pool(url, application_name="test", min_size=0, max_size=4) as through,
        Replica(through, Clock(T0 + 110)).running() as one,
    ):
        await one.ingest.submit_batch(other, events(0, 3_000))
        proxy.cut, proxy.cuts = cut, 1

        with pytest.raises(UnavailableError):
            await one.ingest.submit_batch(batch, events(1, 3_001))
        again = await one.ingest.submit_batch(batch, events(1, 3_001))

        assert again == (None if cut == "after" else 2)
        await stored_once(one, 4)
        await one.writer.fold(through)
        await one.ingest.submit_batch(uuid4(), events(2, 3_002))
        await stored_once(one, 6)


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_fold_whose_answer_is_lost_counts_nothing_twice(
    core_url: str, pool: Any, cut: Cut
) -> None:
    clock = Clock(T0 + 110)
    async with (
        proxied(core_url) as (proxy, url),
        open_pool(url, application_name="test", min_size=0, max_size=4) as through,
        Replica(through, clock).running() as one,
    ):
        await one.ingest.submit_batch(uuid4(), events(0, 100, 3_000))
        clock.now += 600
        proxy.cut, proxy.cuts = cut, 1

        with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
            await one.writer.fold(through)
        await stored_once(one, 3)
        await one.ingest.submit_batch(uuid4(), events(1))
        await one.writer.fold(through)

        await stored_once(one, 4)


async def test_batch_that_another_replica_is_just_taking_in_waits_for_the_outcome(
    pool: Any,
) -> None:
    batch = uuid4()
    clock = Clock(T0 + 110)
    async with Replica(pool, clock).running() as one, Replica(pool, clock).running() as other:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("INSERT INTO metrics.batches (batch_id) VALUES ($1)", batch)
            waiting = asyncio.create_task(one.ingest.submit_batch(batch, events(0)))
            await blocked(pool, 1)
            await other.ingest.submit_batch(uuid4(), events(1))
            assert not waiting.done()

        assert await waiting is None
        await stored_once(other, 1)


async def test_client_that_gives_up_does_not_undo_its_batch(pool: Any) -> None:
    batch = uuid4()
    async with Replica(pool, Clock(T0 + 110)).running() as one:
        await one.ingest.submit_batch(uuid4(), events(1))
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("LOCK metrics.performance IN ACCESS EXCLUSIVE MODE")
            sending = asyncio.create_task(one.ingest.submit_batch(batch, events(0)))
            await blocked(pool, 1)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending

        assert await one.ingest.submit_batch(batch, events(0)) is None
        await stored_once(one, 2)


async def test_session_that_is_lost_while_another_has_its_turn_is_refused_for_now(
    pool: Any,
) -> None:
    batch = uuid4()
    copied = """
        SELECT pid FROM pg_stat_activity
        WHERE state = 'idle in transaction' AND query LIKE 'COPY%' AND datname = current_database()
    """
    async with Replica(pool, Clock(T0 + 110)).running() as one:
        await one.ingest.submit_batch(uuid4(), events(0))
        async with (
            pool.acquire() as connection,
            connection.transaction(),
            one.writer.turn(connection),
            asyncio.timeout(10),
        ):
            sending = asyncio.create_task(one.ingest.submit_batch(batch, events(1)))
            while not (waiting := await pool.fetchval(copied)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            # It waits until the session has gone.
            assert await pool.fetchval("SELECT pg_terminate_backend($1, 5000)", waiting)

        with pytest.raises(UnavailableError):
            await sending
        assert await one.ingest.submit_batch(batch, events(1)) == 1
        await stored_once(one, 2)


async def test_what_waits_at_the_end_is_stored_and_what_comes_later_refused(pool: Any) -> None:
    made = Replica(pool, Clock(T0 + 110))
    async with made.running():
        await made.ingest.submit_batch(uuid4(), events(0))
        sending = [
            asyncio.create_task(made.ingest.submit_batch(uuid4(), events(0))) for _ in range(9)
        ]
        await asyncio.sleep(0)

    assert [await each for each in sending] == [1] * 9
    with pytest.raises(UnavailableError):
        await made.ingest.submit_batch(uuid4(), events(0))
    await stored_once(made, 10)


async def test_batch_that_still_makes_its_series_at_the_end_is_not_left_waiting(pool: Any) -> None:
    made = Replica(pool, Clock(T0 + 110))
    async with pool.acquire() as connection, connection.transaction(), made.running():
        await connection.execute("LOCK metrics.series IN ACCESS EXCLUSIVE MODE")
        sending = asyncio.create_task(made.ingest.submit_batch(uuid4(), events(0)))
        await blocked(pool, 1)

    with pytest.raises(UnavailableError):
        await asyncio.wait_for(sending, 5)


async def test_ingest_is_settled_when_what_was_submitted_before_is_committed(pool: Any) -> None:
    async with Replica(pool, Clock(T0 + 110)).running() as one:
        await one.ingest.settled()
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("LOCK metrics.batches IN ACCESS EXCLUSIVE MODE")
            sending = asyncio.create_task(one.ingest.submit_batch(uuid4(), events(0)))
            await blocked(pool, 1)
            settling = asyncio.create_task(one.ingest.settled())
            # It takes no batch in, so the other lane of the ingest is free for it.
            await one.ingest.submit(0, nothing)
            assert not settling.done()

        await settling
        assert await pool.fetchval("SELECT count(*) FROM metrics.performance") == 1
        assert await sending == 1


async def nothing(_: object) -> Prepared:
    return Prepared()


async def test_work_that_fails_costs_only_its_sender(pool: Any) -> None:
    async def fail(_: object) -> Any:
        raise LookupError("no such thing")

    async with Replica(pool, Clock(T0 + 110)).running() as one:
        outcomes = await asyncio.gather(
            one.ingest.submit_batch(uuid4(), events(0)),
            one.ingest.submit(1, fail),
            one.ingest.submit_batch(uuid4(), events(0)),
            return_exceptions=True,
        )

        assert outcomes[0] == outcomes[2] == 1
        assert isinstance(outcomes[1], LookupError)
        await stored_once(one, 2)


async def blocked(pool: Any, count: int) -> None:
    """Return when so many of our sessions wait for a lock; gives up after ten seconds."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(10):
        while await pool.fetchval(query) < count:  # noqa: ASYNC110  PostgreSQL tells nobody.
            await asyncio.sleep(0.01)
