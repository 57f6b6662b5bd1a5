"""The promises of a store, kept by the one in memory and by PostgreSQL."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest_asyncio

from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.domain.matcher import Matcher
from alerts_svc.domain.silence import Silence
from alerts_svc.domain.world import Acknowledge, Close, Posted
from alerts_svc.ports import Leases, Ledger
from alerts_svc.store.channels import Channels
from alerts_svc.store.inbox import Inbox
from alerts_svc.store.leases import PostgresLeases
from alerts_svc.store.ledger import PostgresLedger
from alerts_svc.store.silences import Silences
from tests.alerts_svc.contract_ledger import *  # noqa: F403
from tests.alerts_svc.contract_ledger import Bench
from tests.alerts_svc.memory import MemoryLedger, MemoryStore

SLACK = Channel("slack", Kind.SLACK, {"url": "https://hooks.example/x"})
SILENCE = Silence("s1", (Matcher("alertname", "Slow"),), 0.0, 2e9, "ann", "known")
STATUSES = {"pending": "waiting", "delivered": "sent", "given_up": "failed"}


class InMemory:
    """The store in memory, with a clock that only the test moves."""

    def __init__(self) -> None:
        self._now = 1_790_000_000.0
        self._store = MemoryStore(clock=lambda: self._now)
        self._store.put_channel(SLACK)
        self.ledger: Ledger = MemoryLedger(self._store)
        self.leases: Leases = MemoryLedger(self._store)

    def replica(self) -> Leases:
        return MemoryLedger(self._store)

    async def pass_time(self, seconds: float) -> None:
        self._now += seconds

    async def change_something(self) -> None:
        self._store.put_silence(SILENCE)

    async def put(self, content: tuple[Posted, ...] | Acknowledge | Close) -> int:
        return self._store.put_command(content)

    async def statuses(self) -> dict[str, str]:
        return {
            name: STATUSES.get(row.status, row.status) for name, row in self._store.outbox.items()
        }


class InPostgres:
    """The store in PostgreSQL; that time passes is seen in the lease, so that is what moves."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool
        self._numbers = itertools.count()
        self.ledger: Ledger = PostgresLedger(pool)
        self.leases: Leases = PostgresLeases(pool)

    def replica(self) -> Leases:
        return PostgresLeases(self._pool)

    async def pass_time(self, seconds: float) -> None:
        await self._pool.execute(
            "UPDATE alerts.leases SET wall = wall - $1, expires_at = expires_at - make_interval(secs => $1)",
            seconds,
        )

    async def change_something(self) -> None:
        await Silences(self._pool).create(replace(SILENCE, id=f"s{next(self._numbers)}"))

    async def put(self, content: tuple[Posted, ...] | Acknowledge | Close) -> int:
        return await Inbox(self._pool).put(content)

    async def statuses(self) -> dict[str, str]:
        rows = await self._pool.fetch("SELECT message_id, status FROM alerts.deliveries")
        return {row["message_id"]: row["status"] for row in rows}


@pytest_asyncio.fixture(params=["memory", "postgres"])
async def bench(request: Any, pool: Any) -> AsyncGenerator[Bench]:
    if request.param == "memory":
        yield InMemory()
    else:
        await Channels(pool).create(SLACK)
        yield InPostgres(pool)
