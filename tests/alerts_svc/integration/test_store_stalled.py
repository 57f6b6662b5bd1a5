"""A process that stands still in the midst of a transaction must not keep its locks from the others."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from alerts_svc.store.leases import PostgresLeases

_HOLD = "SELECT fence FROM alerts.leases FOR KEY SHARE"
_THERE = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)"
TTL = 0.5


async def test_a_lease_is_taken_from_under_a_transaction_that_waits_for_its_client(
    pool: Any, alerts_url: str
) -> None:
    first = await PostgresLeases(pool).campaign("first", ttl=TTL)
    stalled = await asyncpg.connect(alerts_url, server_settings={"application_name": "test"})
    await stalled.execute("BEGIN")
    await stalled.fetchval(_HOLD)
    await asyncio.sleep(2 * TTL)

    async with asyncio.timeout(2):
        second = await PostgresLeases(pool).campaign("second", ttl=TTL)

    assert first is not None
    assert second is not None
    assert second.fence == first.fence + 1
    assert not await pool.fetchval(_THERE, stalled.get_server_pid())
    stalled.terminate()


async def test_a_transaction_and_those_of_others_are_given_time(pool: Any, alerts_url: str) -> None:
    settings = {"application_name": "test"}, {"application_name": "somebody else"}
    working = [await asyncpg.connect(alerts_url, server_settings=each) for each in settings]
    for connection in working:
        await connection.execute("BEGIN")
    await asyncio.sleep(2 * TTL)
    await working[0].execute("COMMIT")
    await working[0].execute("BEGIN")

    await PostgresLeases(pool).campaign("first", ttl=TTL)

    for connection in working:
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()
