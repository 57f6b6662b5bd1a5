"""A simulator that tests share; those that change its faults or limits run their own."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest_asyncio

from tests.llm_simulator.simulators import Simulator, simulating


@pytest_asyncio.fixture(scope="module")
async def simulator() -> AsyncGenerator[Simulator]:
    async with simulating() as running:
        yield running
