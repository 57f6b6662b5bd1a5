"""Fixtures for every test: a PostgreSQL and a Redis of this session's own."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from tests.fixtures.servers import RunningPostgres, in_memory, running_redis, server_folder

# The same examples on each run, however slow the machine is; --hypothesis-profile=default tries others.
settings.register_profile(
    "windsock", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("windsock")


@pytest_asyncio.fixture(scope="session")
async def running_postgres() -> AsyncGenerator[RunningPostgres]:
    """Give the session's server, to be left running: others use it too."""
    with server_folder(in_memory()) as folder:
        running = RunningPostgres(folder)
        try:
            await running.start()
            yield running
        finally:
            running.stop()


@pytest_asyncio.fixture(scope="session")
async def database_url(running_postgres: RunningPostgres) -> str:
    """Give the session's database, migrated; what tests leave in it, they see of each other."""
    return await running_postgres.new_database("windsock")


@pytest.fixture(scope="session")
def new_database(running_postgres: RunningPostgres) -> Callable[[], Awaitable[str]]:
    """Give a function that makes one more migrated database, for tests that need it empty."""
    numbers = itertools.count(1)
    return lambda: running_postgres.new_database(f"windsock_{next(numbers)}")


@pytest_asyncio.fixture
async def own_postgres() -> AsyncGenerator[RunningPostgres]:
    """Give a server, started, that the test alone uses: it may stop, kill and start it."""
    with server_folder(in_memory()) as folder:
        running = RunningPostgres(folder)
        try:
            await running.start()
            yield running
        finally:
            running.stop()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with server_folder(in_memory()) as folder, running_redis(folder) as url:
        yield url
