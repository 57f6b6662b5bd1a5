"""Fixtures for tests that break things while people must be told."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.alerts_svc.receivers import WebhookReceiver, running
from tests.faults.alerting.scripted_metrics import ScriptedMetrics, scripted_metrics
from tests.faults.alerting.service import AlertsService
from tests.fixtures.servers import RunningPostgres

AlertsFor = Callable[..., AlertsService]


@pytest.fixture(scope="session")
def new_alerts_database(running_postgres: RunningPostgres) -> Callable[[], Awaitable[str]]:
    """Give a function that makes a migrated database of the session's server, to be left running."""
    numbers = itertools.count(1)
    return lambda: running_postgres.new_alerts_database(f"alerting_{next(numbers)}")


@pytest_asyncio.fixture
async def alerts_url(new_alerts_database: Callable[[], Awaitable[str]]) -> str:
    """Give an empty database for the test alone."""
    return await new_alerts_database()


@pytest_asyncio.fixture
async def metrics() -> AsyncGenerator[ScriptedMetrics]:
    """Give a metrics-svc that says what the test wants."""
    async with scripted_metrics() as made:
        yield made


@pytest.fixture
def alerts_for(tmp_path: Path, metrics: ScriptedMetrics) -> Iterator[AlertsFor]:
    """Give a function that makes services on a database; they end with the test.

    ``metrics_url`` stands in for the scripted metrics-svc, other names are variables of the environment.
    """
    made: list[AlertsService] = []

    def make(
        database_url: str, *, metrics_url: str | None = None, **settings: str
    ) -> AlertsService:
        url = metrics.url if metrics_url is None else metrics_url
        made.append(AlertsService(database_url, tmp_path, metrics_url=url, **settings))
        return made[-1]

    yield make
    for service in made:
        service.kill()


@pytest_asyncio.fixture
async def webhook() -> AsyncGenerator[WebhookReceiver]:
    """Give a receiver of webhooks."""
    async with running(WebhookReceiver()) as receiver:
        yield receiver
