"""Fixtures for tests that break things while flags are changed."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.flags.processes import RedisServer
from tests.faults.flags.suite import Suite, suite
from tests.fixtures.servers import RunningPostgres, in_memory, server_folder


@pytest.fixture(scope="session")
def new_flags_database(running_postgres: RunningPostgres) -> Callable[[], Awaitable[str]]:
    """Give a function that makes a migrated database of the session's server, to be left running."""
    numbers = itertools.count(1)
    return lambda: running_postgres.new_flags_database(f"flags_faults_{next(numbers)}")


@pytest_asyncio.fixture
async def empty(
    new_flags_database: Callable[[], Awaitable[str]], tmp_path: Path
) -> AsyncGenerator[Suite]:
    """Give a suite without any process yet, on a database that has been left running."""
    async with suite(tmp_path, await new_flags_database()) as made:
        yield made


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """Give a Redis that the test alone uses: it may kill, pause and start it."""
    with server_folder(in_memory()) as folder:
        server = RedisServer(folder)
        server.start()
        try:
            yield server
        finally:
            server.kill()
