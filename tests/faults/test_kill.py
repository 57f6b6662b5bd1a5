"""The service is killed while the SDK sends: every event is stored exactly once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import asyncpg

import windsock
from tests.faults.service import Service, delivered, numbers, record, stored

ServiceFor = Callable[[str], Service]
SenderFor = Callable[[Service], windsock.MetricsCollector]


async def test_killed_service_loses_and_doubles_nothing(
    service_for: ServiceFor, sender_for: SenderFor, url: str, connection: asyncpg.Connection[Any]
) -> None:
    service = service_for(url)
    await service.start()
    sender = sender_for(service)

    for life in range(3):
        record(sender, range(life * 1_000, (life + 1) * 1_000))
        # In the middle of the thousand: some are stored, some under way and some still to come.
        await stored(connection, life * 1_000 + 100)
        service.kill()
        record(sender, range(10_000 + life * 100, 10_000 + (life + 1) * 100))
        await service.start()
    await delivered(sender)

    assert await numbers(connection) == [*range(3_000), *range(10_000, 10_300)]
    assert await service.total() == 3_300


async def test_terminated_service_stores_what_it_has_and_leaves_nothing_to_finish(
    service_for: ServiceFor, sender_for: SenderFor, url: str, connection: asyncpg.Connection[Any]
) -> None:
    service = service_for(url)
    await service.start()
    sender = sender_for(service)
    record(sender, range(1_000))
    await stored(connection, 100)

    service.terminate()
    unfinished = await connection.fetchval(
        "SELECT count(*) FROM metrics.writers WHERE retired_at IS NULL AND folded_3600 < 9e18"
    )
    await service.start()
    await delivered(sender)

    assert unfinished == 0
    assert await numbers(connection) == list(range(1_000))
    assert await service.total() == 1_000
