"""Fixtures for tests of alerts-svc: one database for all of them, emptied for each that asks for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest_asyncio

from tests.alerts_svc.emptying import emptied
from tests.fixtures.servers import RunningPostgres
from windsock_kit.postgres import open_pool


@pytest_asyncio.fixture(scope="session")
async def alerts_url(running_postgres: RunningPostgres) -> str:
    """Give the address of a migrated database of these tests' own."""
    return await running_postgres.new_alerts_database("alerts")


@pytest_asyncio.fixture(scope="session")
async def alerts_pool(alerts_url: str) -> AsyncGenerator[Any]:
    """Give the pool for tests that empty the store themselves."""
    async with open_pool(alerts_url, application_name="test", min_size=0, max_size=8) as pool:
        yield pool


@pytest_asyncio.fixture
async def pool(alerts_pool: Any) -> Any:
    """Give a pool on a store as it is right after the migrations."""
    await emptied(alerts_pool)
    return alerts_pool
