"""A model provider over HTTP, and a client of OpenAI's whose calls are recorded."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import openai
import pytest
import pytest_asyncio

from tests.sdk.integration.provider_server import Provider, providing
from windsock.integrations.openai import instrument_openai


@pytest_asyncio.fixture(scope="module")
async def provider_server() -> AsyncGenerator[Provider]:
    async with providing() as provider:
        yield provider


@pytest.fixture
def provider(provider_server: Provider) -> Provider:
    """Give the provider, with no answers left over from another test."""
    provider_server.forget()
    return provider_server


@pytest_asyncio.fixture(scope="module")
async def openai_client(provider_server: Provider) -> AsyncGenerator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=provider_server.url, api_key="k", max_retries=0
    ) as client:
        yield instrument_openai(client)


@pytest.fixture
def client(provider: Provider, openai_client: openai.AsyncOpenAI) -> openai.AsyncOpenAI:
    """Give a client of ``provider``; making one takes long, so tests share it."""
    return openai_client
