"""What remote clients were given, noted now and then."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import asyncpg
from prometheus_client import CollectorRegistry

from flags_svc.ofrep.answers import Answers
from flags_svc.store.usage import count
from windsock_kit.clock import Clock
from windsock_kit.errors import UnavailableError
from windsock_kit.loops import PeriodicLoop, running
from windsock_kit.postgres import unavailable

INTERVAL_SECONDS = 10.0


class Tally:
    """Adds what was evaluated to what is known of it; while the store is away, it is kept here."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], answers: Answers, clock: Clock) -> None:
        self._pool = pool
        self._answers = answers
        self._clock = clock
        self._left: Counter[tuple[str, str, str | None]] = Counter()

    async def tick(self) -> None:
        """Note what has been evaluated since the last time."""
        self._left.update(self._answers.counted())
        if not self._left:
            return
        with suppress(UnavailableError), unavailable():
            async with self._pool.acquire() as connection, connection.transaction():
                await count(connection, self._left, at=self._clock().timestamp())
            self._left.clear()


@asynccontextmanager
async def tallying(tally: Tally, registry: CollectorRegistry) -> AsyncGenerator[None]:
    """Note evaluations for the life of the block, and the last ones at its end."""
    loop = PeriodicLoop("tally", tally.tick, interval=INTERVAL_SECONDS, registry=registry)
    async with running([loop]):
        yield
    await tally.tick()
