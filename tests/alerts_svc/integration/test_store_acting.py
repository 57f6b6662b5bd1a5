"""Leases and fences of PostgreSQL under concurrency, and with clocks that are set."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.domain.world import Acknowledge, Changes
from alerts_svc.ports import Lease, LeaseLostError, StaleWorldError
from alerts_svc.store import fencing
from alerts_svc.store.channels import Channels
from alerts_svc.store.inbox import Inbox
from alerts_svc.store.leases import PostgresLeases
from alerts_svc.store.ledger import PostgresLedger
from alerts_svc.store.silences import Silences
from tests.alerts_svc.contract_ledger import message
from tests.alerts_svc.integration.test_ledger_contract import SILENCE
from windsock_kit.postgres import open_pool, transient_errors

TTL = 8.0
_WAITS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
_EXPIRE = "UPDATE alerts.leases SET expires_at = clock_timestamp()"
_STEP = (
    "UPDATE alerts.leases SET wall = wall - $1, expires_at = expires_at - make_interval(secs => $1)"
)


class Monotonic:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def acting(pool: asyncpg.Pool[asyncpg.Record], owner: str = "first") -> Lease:
    lease = await PostgresLeases(pool).campaign(owner, ttl=TTL)
    assert lease is not None
    return lease


async def until_it_waits(pool: asyncpg.Pool[asyncpg.Record], task: asyncio.Task[Any]) -> None:
    """Return once some transaction waits for another one's lock; the task must not end before."""
    async with asyncio.timeout(10):
        while not await pool.fetchval(_WAITS):
            assert not task.done(), "it did not wait"
            await asyncio.sleep(0.01)


async def test_what_people_change_waits_for_a_decision_that_asks_for_it(pool: Any) -> None:
    ledger, lease = PostgresLedger(pool), await acting(pool)

    async with ledger.quietly() as quiet:
        world = await quiet.load()
        # More than the pool has connections.
        changes = [
            asyncio.create_task(Silences(pool).create(replace(SILENCE, id=f"s{n}")))
            for n in range(12)
        ]
        async with asyncio.timeout(10):
            while pool.get_size() < pool.get_max_size() or pool.get_idle_size():
                assert not any(change.done() for change in changes)
                await asyncio.sleep(0.01)
        assert await quiet.inbox(limit=1) == []
        await quiet.commit(lease, Changes(heartbeat_at=5.0), revision=world.revision)
        assert not any(change.done() for change in changes)
    await asyncio.gather(*changes)

    after = await ledger.load()
    assert (after.heartbeat_at, len(after.silences)) == (5.0, 12)


async def test_a_new_owner_waits_for_a_commit_under_way(pool: Any) -> None:
    lease = await acting(pool)
    await pool.execute(_EXPIRE)
    async with pool.acquire() as connection:
        async with connection.transaction():
            await fencing.hold(connection, lease, lease.revision)
            taking = asyncio.create_task(PostgresLeases(pool).campaign("second", ttl=TTL))
            await until_it_waits(pool, taking)
        taken = await taking

    assert taken is not None
    assert taken.fence == lease.fence + 1


async def test_renewing_does_not_wait_for_a_commit_under_way(pool: Any) -> None:
    lease = await acting(pool)
    async with pool.acquire() as connection, connection.transaction():
        await fencing.hold(connection, lease, lease.revision)

        async with asyncio.timeout(5):
            renewed = await PostgresLeases(pool).campaign("first", ttl=TTL, own=lease.own)

    assert renewed is not None


async def test_a_commit_that_waited_for_a_new_owner_is_refused(pool: Any) -> None:
    lease = await acting(pool)
    changes = Changes(messages=[message("m")])
    async with pool.acquire() as connection:
        async with connection.transaction():
            await connection.execute("UPDATE alerts.leases SET owner = 'second', fence = fence + 1")
            commit = PostgresLedger(pool).commit(lease, changes, revision=lease.revision)
            committing = asyncio.create_task(commit)
            await until_it_waits(pool, committing)
        with pytest.raises(LeaseLostError):
            await committing

    assert await PostgresLedger(pool).queues() == []


async def test_a_commit_that_waited_for_a_silence_is_stale(pool: Any) -> None:
    lease = await acting(pool)
    changes = Changes(messages=[message("m")])
    async with pool.acquire() as connection:
        async with connection.transaction():
            await fencing.grow(connection)
            commit = PostgresLedger(pool).commit(lease, changes, revision=lease.revision)
            committing = asyncio.create_task(commit)
            await until_it_waits(pool, committing)
        with pytest.raises(StaleWorldError):
            await committing

    assert await PostgresLedger(pool).queues() == []


async def test_a_silence_that_was_acknowledged_is_in_every_later_decision(pool: Any) -> None:
    lease = await acting(pool)
    ledger, silences = PostgresLedger(pool), Silences(pool)
    acknowledged: set[str] = set()

    async def people() -> None:
        for number in range(30):
            await silences.create(replace(SILENCE, id=f"s{number}"))
            acknowledged.add(f"s{number}")

    setting = asyncio.create_task(people())
    committed = 0
    while not setting.done() or not committed:
        world = await ledger.load()
        # What is in here was answered before the commit began; the world may be older than that.
        before = set(acknowledged)
        try:
            await ledger.commit(lease, Changes(heartbeat_at=1.0), revision=world.revision)
        except StaleWorldError:
            continue
        committed += 1
        assert before <= world.silences.keys()
    await setting

    assert (await ledger.load()).silences.keys() == acknowledged
    assert committed


async def test_the_fence_is_checked_when_a_lease_ran_out_unnoticed(pool: Any) -> None:
    first = await acting(pool)
    await pool.execute(_EXPIRE)

    # Nobody has taken it: what was decided meanwhile is still the only decision.
    await PostgresLedger(pool).commit(first, Changes(heartbeat_at=1.0), revision=first.revision)
    again = await PostgresLeases(pool).campaign("first", ttl=TTL)

    assert again is not None
    assert again.fence == first.fence


async def test_the_lease_ends_earlier_for_its_owner_than_for_the_others(pool: Any) -> None:
    clock = Monotonic()

    lease = await PostgresLeases(pool, monotonic=clock).campaign("first", ttl=TTL)

    assert lease is not None
    assert clock.now + TTL / 2 < lease.expires_at < clock.now + TTL


async def test_a_step_of_the_databases_clock_moves_no_timer_of_who_has_watched(pool: Any) -> None:
    clock = Monotonic()
    first = await acting(pool)
    second = PostgresLeases(pool, monotonic=clock)
    assert await second.campaign("second", ttl=TTL) is None
    clock.now += 2
    renewed = await PostgresLeases(pool).campaign("first", ttl=TTL, own=first.own + 2)
    assert renewed is not None
    assert await second.campaign("second", ttl=TTL) is None
    clock.now += 10

    await pool.execute(_STEP, 3600.0)
    taken = await second.campaign("second", ttl=TTL)

    assert taken is not None
    assert renewed.own + 10 <= taken.own <= renewed.own + 12 + 1


async def test_a_lease_given_before_the_clock_was_set_back_is_free(pool: Any) -> None:
    first = await acting(pool)
    await pool.execute(_STEP, -3600.0)

    second = await PostgresLeases(pool).campaign("second", ttl=TTL)

    assert second is not None
    assert second.fence == first.fence + 1


async def test_what_people_do_is_announced(pool: Any, alerts_url: str) -> None:
    heard: list[str] = []
    connection = await asyncpg.connect(alerts_url)
    try:
        await connection.add_listener(
            fencing.CHANNEL, lambda *arguments: heard.append(str(arguments[-1]))
        )
        await Channels(pool).create(Channel("slack", Kind.SLACK, {"url": "https://x.example"}))
        await Inbox(pool).put(Acknowledge("a", "ann", None))
        async with asyncio.timeout(10):
            while len(heard) < 2:
                await connection.execute("SELECT 1")
    finally:
        await connection.close()

    assert heard == ["revision:2", "inbox"]


async def test_before_the_migration_the_store_is_away_for_the_moment(running_postgres: Any) -> None:
    url = await running_postgres.new_database("windsock_without_alerts")
    async with open_pool(url, application_name="test", min_size=0, max_size=1) as pool:
        with pytest.raises(transient_errors):
            await PostgresLeases(pool).campaign("first", ttl=TTL)
        with pytest.raises(transient_errors):
            await PostgresLedger(pool).load()


async def test_a_lease_is_not_waited_for_when_its_owner_has_ended(
    pool: asyncpg.Pool[asyncpg.Record],
) -> None:
    first = await PostgresLeases(pool).campaign("first", ttl=TTL)

    waiting = await PostgresLeases(pool).campaign("second", ttl=TTL)
    taken = await PostgresLeases(pool, ended=lambda owner: owner == "first").campaign(
        "third", ttl=TTL
    )

    assert first is not None
    assert taken is not None
    assert waiting is None
    assert taken.fence == first.fence + 1
    assert taken.own >= first.own
