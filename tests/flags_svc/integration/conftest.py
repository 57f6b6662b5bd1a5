"""One running service for the tests of its API; each of them makes flags of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest_asyncio

from tests.fixtures.servers import RunningPostgres
from tests.flags_svc.api import Api, running_api


@pytest_asyncio.fixture(scope="session")
async def api(running_postgres: RunningPostgres, redis_url: str) -> AsyncGenerator[Api]:
    """Give the service on a database with the flags that it begins with."""
    database = await running_postgres.new_flags_database("flags_api")
    async with running_api(database, redis_url=redis_url) as found:
        yield found
