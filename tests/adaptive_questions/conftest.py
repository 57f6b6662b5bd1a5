"""Fixtures for tests of the workload: its HTTP interface on questions that a test decides on."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import httpx
import pytest
import pytest_asyncio

from adaptive_questions.app import create_app
from adaptive_questions.settings import Settings
from tests.adaptive_questions.scripted import ScriptedQuestions
from windsock_kit.testing import running


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the SDK of this process from sending: there is nobody to send to."""
    monkeypatch.setenv("WINDSOCK_ENABLED", "false")


@pytest.fixture
def questions() -> ScriptedQuestions:
    """Give the questions behind ``client``."""
    return ScriptedQuestions()


@pytest_asyncio.fixture
async def client(
    questions: ScriptedQuestions, unmeasured: None
) -> AsyncGenerator[httpx.AsyncClient]:
    """Give a client of the HTTP interface in front of ``questions``."""
    async with running(create_app(Settings(), questions.opened)) as client:
        yield client
