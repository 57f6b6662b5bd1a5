"""Fixtures for tests of metrics-svc: one database for all of them, emptied for each that asks for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import httpx
import pytest_asyncio

from metrics_svc.app import create_app
from metrics_svc.settings import Settings
from tests.metrics_svc.replica import emptied
from windsock_kit.postgres import open_pool
from windsock_kit.testing import running


@pytest_asyncio.fixture(scope="session")
async def core_url(new_database: Callable[[], Awaitable[str]]) -> str:
    return await new_database()


@pytest_asyncio.fixture(scope="session")
async def core_pool(core_url: str) -> AsyncGenerator[Any]:
    """Give the pool for tests that empty the store themselves."""
    async with open_pool(core_url, application_name="test", min_size=0, max_size=8) as pool:
        yield pool


@pytest_asyncio.fixture
async def pool(core_pool: Any) -> Any:
    """Give a pool on an empty store."""
    await emptied(core_pool)
    return core_pool


@pytest_asyncio.fixture
async def client(core_url: str, pool: Any) -> AsyncGenerator[httpx.AsyncClient]:
    """Give a client of the whole service on an empty store."""
    async with running(create_app(Settings(database_url=core_url))) as client:
        yield client
