"""Fixtures for tests of flags-svc: one database for all of them, emptied for each that asks for it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio

from tests.fixtures.servers import RunningPostgres, in_memory, running_redis, server_folder
from tests.flags_svc.emptying import emptied
from windsock_kit.postgres import open_pool


@pytest_asyncio.fixture(scope="session")
async def flags_url(running_postgres: RunningPostgres) -> str:
    """Give the address of a migrated database of these tests' own."""
    return await running_postgres.new_flags_database("flags")


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Give a Redis of these tests' own: some of them empty it."""
    with server_folder(in_memory()) as folder, running_redis(folder) as url:
        yield url


@pytest.fixture(scope="session")
def new_flags_database(running_postgres: RunningPostgres) -> Callable[[], Awaitable[str]]:
    """Give a function that makes one more migrated database, for tests that leave something running on it."""
    numbers = itertools.count(1)
    return lambda: running_postgres.new_flags_database(f"flags_{next(numbers)}")


@pytest_asyncio.fixture(scope="session")
async def flags_pool(flags_url: str) -> AsyncGenerator[Any]:
    """Give the pool for tests that empty the store themselves."""
    async with open_pool(flags_url, application_name="test", min_size=0, max_size=24) as pool:
        yield pool


@pytest_asyncio.fixture
async def pool(flags_pool: Any) -> Any:
    """Give a pool on a store as it is right after the migrations."""
    await emptied(flags_pool)
    return flags_pool
