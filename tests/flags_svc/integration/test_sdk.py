"""The SDK's client against the whole service: over its stream, and out of Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

import windsock
from flags_svc.app import create_app
from flags_svc.settings import Settings
from tests.flags_svc.waiting import mirrored
from windsock.flags.client import FeatureFlags
from windsock.testing import capture
from windsock_kit.testing import serving

DEADLINE = 30.0
FLAG = "new_ui_dashboard"


@dataclass
class Service:
    url: str
    redis_url: str
    api: httpx.AsyncClient

    async def change(self, action: str, **body: Any) -> None:
        answer = await self.api.post(f"/api/feature-flags/{FLAG}/{action}", json=body)
        assert answer.status_code == 200, answer.text

    async def instance(self, at_least: int) -> dict[str, Any]:
        """Wait until an SDK is known to be at a revision, and return what is known of it."""
        async with asyncio.timeout(DEADLINE):
            while True:
                answer = await self.api.get("/api/feature-flags/propagation")
                for each in answer.json()["instances"]:
                    if each["kind"] == "sdk" and each["revision"] >= at_least:
                        return dict(each)
                await asyncio.sleep(0.05)


@pytest_asyncio.fixture
async def service(
    new_flags_database: Callable[[], Awaitable[str]], redis_url: str
) -> AsyncGenerator[Service]:
    env = {"FLAGS_DATABASE_URL": await new_flags_database(), "FLAGS_REDIS_URL": redis_url}
    async with (
        serving(create_app(Settings.from_env(env))) as url,
        httpx.AsyncClient(base_url=url, timeout=DEADLINE) as api,
    ):
        async with asyncio.timeout(DEADLINE):
            while (await api.get("/readyz")).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        # Until then Redis has the flags of whoever wrote there last.
        epoch = (await api.get("/api/feature-flags/propagation")).json()["epoch"]
        async with asyncio.timeout(DEADLINE):
            while (await mirrored(redis_url, 1))["epoch"] != epoch:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        yield Service(url, redis_url, api)


@pytest_asyncio.fixture
async def client() -> AsyncGenerator[FeatureFlags]:
    with capture():
        client = FeatureFlags(windsock.get_metrics_collector())
        yield client
        # Its last report is answered by this loop.
        assert await asyncio.to_thread(client.close, DEADLINE)


async def until(held: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not held():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("source", ["service", "redis"])
async def test_a_change_over_the_api_is_in_force_here(
    service: Service, client: FeatureFlags, source: str
) -> None:
    changes = {"endpoint": service.url, "flags_source": source}
    client.configure(windsock.Settings().changed(changes | {"flags_redis_url": service.redis_url}))
    assert await asyncio.to_thread(client.ready, DEADLINE)
    assert client.status().flags == 9

    await service.change("enable", environment="production")
    await service.change("rollout", percentage=100, environment="production")
    await until(lambda: client.is_enabled(FLAG, "ann"))
    await service.change("disable", environment="production")
    await until(lambda: not client.is_enabled(FLAG, "ann"))

    status = client.status()
    assert (status.source, status.connected, status.backup) == (source, True, False)
    assert status.revision is not None
    instance = await service.instance(status.revision)
    assert instance["environment"] == "production"


async def test_evaluations_are_known_to_the_service(service: Service, client: FeatureFlags) -> None:
    client.configure(windsock.Settings(endpoint=service.url))
    assert await asyncio.to_thread(client.ready, DEADLINE)
    before = client.status().revision or 0
    await service.change("rollout", percentage=25, environment="production")
    await until(lambda: (client.status().revision or 0) > before)
    revision = client.status().revision or 0
    variants = {client.variant(FLAG, f"u-{number}") for number in range(200)}
    here = [client.details(FLAG, f"u-{number}").value for number in range(200)]
    # Before it takes its leave.
    await service.instance(revision)
    assert await asyncio.to_thread(client.close, DEADLINE)
    there = [
        (
            await service.api.post(
                f"/ofrep/v1/evaluate/flags/{FLAG}",
                json={"context": {"targetingKey": f"u-{number}"}},
            )
        ).json()["value"]
        for number in range(200)
    ]

    assert len(variants) == 2
    assert here == there


async def test_an_unknown_environment_is_a_problem_that_names_itself(
    service: Service, client: FeatureFlags
) -> None:
    client.configure(windsock.Settings(endpoint=service.url, environment="moon"))
    started = time.monotonic()
    client.is_enabled(FLAG)

    await until(lambda: "HTTP 404" in client.status().problem)

    assert "moon" in client.status().problem
    assert time.monotonic() - started < DEADLINE
