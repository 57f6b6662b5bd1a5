"""One running service for the tests of its API; each of them makes flags of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest_asyncio

from tests.fixtures.servers import RunningPostgres, in_memory, running_redis, server_folder
from tests.flags_svc.api import Api, running_api


@pytest_asyncio.fixture(scope="session")
async def api(running_postgres: RunningPostgres) -> AsyncGenerator[Api]:
    """Give the service on a database with the flags that it begins with.

    It runs until the last test, and would write its flags over those of others in the same Redis.
    """
    database = await running_postgres.new_flags_database("flags_api")
    with server_folder(in_memory()) as folder, running_redis(folder) as redis_url:
        async with running_api(database, redis_url=redis_url) as found:
            yield found
