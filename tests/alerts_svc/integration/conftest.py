"""A metrics-svc for the tests of alerts-svc that ask it."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest_asyncio

from tests.alerts_svc import services
from tests.fixtures.servers import RunningPostgres


@pytest_asyncio.fixture(scope="session")
async def metrics_url(running_postgres: RunningPostgres, redis_url: str) -> AsyncGenerator[str]:
    """Give the address of a metrics-svc that announces on Redis; tests use operations of their own."""
    database = await running_postgres.new_database("alerts_measured")
    async with services.metrics_service(database, redis_url) as address:
        yield address
