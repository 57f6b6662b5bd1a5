from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.loadgen.integration.receiver import Receiver, running_receiver
from tests.loadgen.integration.suites import Suite, running_suite


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with running_receiver() as receiver:
        monkeypatch.setenv("WINDSOCK_ENDPOINT", receiver.url)
        monkeypatch.delenv("WINDSOCK_API_KEY", raising=False)
        yield receiver


@pytest_asyncio.fixture(scope="session")
async def month_suite(
    new_database: Callable[[], Awaitable[str]], tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Suite]:
    """Give a metrics service that takes events of a month; what tests leave in it, others see."""
    folder = tmp_path_factory.mktemp("month-suite")
    async with running_suite(await new_database(), folder, max_age_days=31) as suite:
        yield suite


@pytest_asyncio.fixture
async def week_suite(database_url: str, tmp_path: Path) -> AsyncGenerator[Suite]:
    """Give a metrics service with the default limit of a week."""
    async with running_suite(database_url, tmp_path, max_age_days=7) as suite:
        yield suite
