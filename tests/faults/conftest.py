"""Fixtures for tests that kill what is running."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

import windsock
from tests.faults.service import Service, collector


@pytest.fixture
def service_for(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Give a function that makes services on a database; they end with the test."""
    made: list[Service] = []

    def make(database_url: str, **settings: str) -> Service:
        made.append(Service(database_url, tmp_path, **settings))
        return made[-1]

    yield make
    for service in made:
        service.kill()


@pytest.fixture
def sender_for() -> Iterator[Callable[[Service], windsock.MetricsCollector]]:
    """Give a function that makes collectors for a service; they are closed with the test."""
    made: list[windsock.MetricsCollector] = []

    def make(service: Service) -> windsock.MetricsCollector:
        made.append(collector(service.url))
        return made[-1]

    yield make
    for each in made:
        each.close(0.1)


@pytest_asyncio.fixture
async def url(new_database: Callable[[], Awaitable[str]]) -> str:
    """Give a database of the session's server, to be left running."""
    return await new_database()


@pytest_asyncio.fixture
async def connection(url: str) -> AsyncGenerator[asyncpg.Connection[Any]]:
    opened = await asyncpg.connect(url)
    try:
        yield opened
    finally:
        await opened.close()
