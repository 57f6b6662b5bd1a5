"""A metrics-svc for the tests of alerts-svc that ask it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator

import pytest
import pytest_asyncio
import structlog

from tests.alerts_svc import services
from tests.fixtures.servers import RunningPostgres


@pytest.fixture(scope="session", autouse=True)
def plain_tracebacks() -> Iterator[None]:
    """Log failures without their variables: here loops fail again and again on purpose, and those take seconds each."""
    renderer = structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )
    before = structlog.get_config()["processors"]
    structlog.configure(processors=[*before[:-1], renderer])
    yield
    structlog.configure(processors=before)


@pytest_asyncio.fixture(scope="session")
async def metrics_url(running_postgres: RunningPostgres, redis_url: str) -> AsyncGenerator[str]:
    """Give the address of a metrics-svc that announces on Redis; tests use operations of their own."""
    database = await running_postgres.new_database("alerts_measured")
    async with services.metrics_service(database, redis_url) as address:
        yield address
