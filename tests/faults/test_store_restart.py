"""PostgreSQL goes away under load and comes back: nothing is lost, and nobody has to help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import asyncpg
import httpx
import pytest

import windsock
from tests.faults.service import Service, delivered, numbers, record, stored, until
from tests.fixtures.servers import RunningPostgres

ServiceFor = Callable[[str], Service]
SenderFor = Callable[[Service], windsock.MetricsCollector]


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_store_that_goes_away_under_load_loses_nothing(
    own_postgres: RunningPostgres, service_for: ServiceFor, sender_for: SenderFor, end: str
) -> None:
    url = await own_postgres.new_database("windsock")
    service = service_for(url)
    await service.start()
    sender = sender_for(service)

    for life in range(2):
        record(sender, range(life * 1_000, (life + 1) * 1_000))
        connection = await asyncpg.connect(url)
        await stored(connection, life * 1_000 + 100)
        if end == "stop":
            await connection.close()
            own_postgres.stop()
        else:
            own_postgres.kill()
            connection.terminate()
        await refuses(service)
        await own_postgres.start()
    await delivered(sender)

    connection = await asyncpg.connect(url)
    try:
        assert await numbers(connection) == list(range(2_000))
    finally:
        await connection.close()
    assert await service.total() == 2_000


async def refuses(service: Service) -> None:
    """Wait until the service says that its store is away, and check how it says so."""
    answers: list[Any] = []

    async def refused() -> bool:
        async with httpx.AsyncClient(timeout=20) as client:
            answers.append(await client.get(f"{service.url}/api/metrics/dashboard"))
        return bool(answers[-1].status_code == 503)

    await until(refused, "the service refuses")
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert answers[-1].json()["code"] == "unavailable"


async def test_service_that_starts_before_its_store_is_there_when_it_comes(
    own_postgres: RunningPostgres, service_for: ServiceFor, sender_for: SenderFor
) -> None:
    url = await own_postgres.new_database("windsock")
    own_postgres.stop()
    service = service_for(url)
    await service.start()
    sender = sender_for(service)
    record(sender, range(100))
    await refuses(service)

    await own_postgres.start()
    await delivered(sender)

    assert await service.total() == 100
