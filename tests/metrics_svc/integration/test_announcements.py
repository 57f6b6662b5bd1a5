from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import orjson
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from metrics_svc.announcements import CHANNEL, MAX_OPERATIONS, Announcements
from metrics_svc.app import create_app
from metrics_svc.instruments import Instruments
from metrics_svc.settings import Settings
from tests.metrics_svc.proxy import Proxy
from windsock_embedded import ports
from windsock_kit.testing import running

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)


@asynccontextmanager
async def listening(url: str) -> AsyncGenerator[PubSub]:
    client = Redis.from_url(url)
    async with client, client.pubsub(ignore_subscribe_messages=True) as subscription:
        await subscription.subscribe(CHANNEL)
        await subscription.get_message(ignore_subscribe_messages=False, timeout=5)
        yield subscription


@pytest_asyncio.fixture
async def heard(redis_url: str) -> AsyncGenerator[PubSub]:
    async with listening(redis_url) as subscription:
        yield subscription


async def next_body(subscription: PubSub, *, seconds: float = 5.0) -> dict[str, Any] | None:
    """Return the next announcement, leaving out those of the service's own probes."""
    while message := await subscription.get_message(timeout=seconds):
        body: dict[str, Any] = orjson.loads(message["data"])
        if body["kinds"] != ["probe"] or body["latest_event_at"] == AT.timestamp():
            return body
    return None


@pytest.fixture
def instruments() -> Instruments:
    return Instruments(CollectorRegistry())


@pytest_asyncio.fixture
async def announced(
    core_url: str, pool: object, redis_url: str
) -> AsyncGenerator[httpx.AsyncClient]:
    """Give a client of the whole service, which announces on Redis."""
    settings = Settings(database_url=core_url, redis_url=redis_url)
    async with running(create_app(settings)) as client:
        yield client


def batch(*events: dict[str, Any]) -> dict[str, Any]:
    return {"batch_id": str(uuid4()), "events": list(events)}


def timed(operation: str, at: datetime) -> dict[str, Any]:
    stamp = at.isoformat()
    return {"type": "performance", "operation": operation, "duration_ms": 5, "timestamp": stamp}


async def test_committed_events_are_announced_with_their_newest_times(
    announced: httpx.AsyncClient, heard: PubSub
) -> None:
    now = datetime.now(UTC)
    before = time.time()
    early = now.replace(microsecond=0)

    await announced.post(
        "/api/metrics/events",
        json=batch(
            timed("search", now),
            timed("search", early),
            timed("answer", early),
            {"type": "llm_call", "operation": "answer", "timestamp": early.isoformat()},
        ),
    )
    body = await next_body(heard)

    assert body is not None
    assert body["kinds"] == ["llm_call", "performance"]
    assert body["operations"] == ["answer", "search"]
    assert body["latest_event_at"] == pytest.approx(now.timestamp(), abs=0.001)
    assert body["latest_by_operation"] == {
        "answer": early.timestamp(),
        "search": body["latest_event_at"],
    }
    assert before - 0.001 <= body["committed_at"] <= time.time()


async def test_a_batch_that_was_known_announces_nothing(
    announced: httpx.AsyncClient, heard: PubSub
) -> None:
    sent = batch(timed("search", datetime.now(UTC)))
    await announced.post("/api/metrics/events", json=sent)
    await next_body(heard)

    await announced.post("/api/metrics/events", json=sent)

    assert await next_body(heard, seconds=0.5) is None


async def test_commits_that_come_fast_are_joined(
    redis_url: str, heard: PubSub, instruments: Instruments
) -> None:
    announcements = Announcements(redis_url, instruments, clock=lambda: 7.0)
    async with announcements.running():
        announcements.committed([{"performance": [(AT, "first")]}])
        first = await next_body(heard)
        began = time.monotonic()
        for number in range(50):
            announcements.committed([{"quality": [(AT, f"later{number}")]}])
            await asyncio.sleep(0)
        second = await next_body(heard)
        lasted = time.monotonic() - began

    assert first is not None
    assert second is not None
    assert first["operations"] == ["first"]
    assert second["kinds"] == ["quality"]
    assert len(second["operations"]) == 50
    assert lasted > 0.15


async def test_very_many_operations_are_announced_as_any(
    redis_url: str, heard: PubSub, instruments: Instruments
) -> None:
    announcements = Announcements(redis_url, instruments)
    rows = [(AT, f"operation{number}") for number in range(MAX_OPERATIONS + 1)]

    async with announcements.running():
        announcements.committed([{"performance": rows}])
        body = await next_body(heard)

    assert body is not None
    assert body["operations"] is None
    assert len(body["latest_by_operation"]) == MAX_OPERATIONS
    assert body["latest_event_at"] == AT.timestamp()


async def test_events_without_an_operation_are_told_by_their_kind(
    redis_url: str, heard: PubSub, instruments: Instruments
) -> None:
    announcements = Announcements(redis_url, instruments)

    async with announcements.running():
        announcements.committed([{"probe": [(AT, None)]}])
        body = await next_body(heard)

    assert body is not None
    assert (body["kinds"], body["operations"]) == (["probe"], [])
    assert body["latest_event_at"] == AT.timestamp()


async def test_what_is_left_at_the_end_is_announced(
    redis_url: str, heard: PubSub, instruments: Instruments
) -> None:
    announcements = Announcements(redis_url, instruments)

    async with announcements.running():
        announcements.committed([{"cache": [(AT, "search")]}])
        assert await next_body(heard) is not None
        announcements.committed([{"cache": [(AT, "answer")]}])
    body = await next_body(heard)

    assert body is not None
    assert body["operations"] == ["answer"]


async def test_what_redis_missed_is_announced_when_it_is_back(
    core_url: str, pool: object, redis_url: str, heard: PubSub, instruments: Instruments
) -> None:
    port = ports.free_port()
    redis = urlsplit(redis_url)
    announcements = Announcements(f"redis://127.0.0.1:{port}/0", instruments)

    async with announcements.running():
        announcements.committed([{"performance": [(AT, "search")]}])
        await failed(instruments)
        announcements.committed([{"quality": [(AT + timedelta(seconds=1), "answer"), (AT, None)]}])
        proxy = Proxy(redis.hostname or "", redis.port or 0)
        async with await asyncio.start_server(proxy.serve, "127.0.0.1", port):
            body = await next_body(heard)

    assert body is not None
    assert body["kinds"] == ["performance", "quality"]
    assert body["latest_by_operation"] == {
        "answer": AT.timestamp() + 1,
        "search": AT.timestamp(),
    }


async def test_without_redis_events_are_taken_in_as_ever(core_url: str, pool: object) -> None:
    settings = Settings(database_url=core_url, redis_url=f"redis://127.0.0.1:{ports.free_port()}/0")

    async with running(create_app(settings)) as client:
        began = time.monotonic()
        answers = [
            await client.post("/api/metrics/events", json=batch(timed("search", datetime.now(UTC))))
            for _ in range(5)
        ]
        lasted = time.monotonic() - began

    assert [answer.status_code for answer in answers] == [200] * 5
    assert lasted < 2


async def failed(instruments: Instruments) -> None:
    """Return when an announcement has failed."""
    for _ in range(500):
        samples = [s for metric in instruments.announcements.collect() for s in metric.samples]
        if any(s.labels["outcome"] == "failed" and s.value for s in samples):
            return
        await asyncio.sleep(0.02)
    raise TimeoutError
