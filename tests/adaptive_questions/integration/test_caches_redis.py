from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from structlog.testing import capture_logs

from adaptive_questions.caches.flight import Flight
from adaptive_questions.caches.lookup import Kept, Miss
from adaptive_questions.caches.memory import MemoryCache
from adaptive_questions.caches.read_through import Found, ReadThrough
from adaptive_questions.caches.remote import RemoteCache, SharedRedis
from tests.fixtures.servers import running_redis, server_folder
from windsock.testing import Captured, capture
from windsock_embedded import ports
from windsock_kit.testing import FakeClock


@pytest.fixture(autouse=True)
def captured() -> Iterator[Captured]:
    with capture() as captured:
        yield captured


@pytest_asyncio.fixture
async def redis(redis_url: str) -> AsyncGenerator[Redis]:
    """Give a client of a Redis that is empty."""
    client = Redis.from_url(redis_url)
    await client.flushdb()
    yield client
    await client.aclose()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest_asyncio.fixture
async def shared(redis: Redis, redis_url: str, clock: FakeClock) -> AsyncGenerator[SharedRedis]:
    shared = SharedRedis(redis_url, clock=clock.monotonic)
    yield shared
    await shared.close()


def remote(shared: SharedRedis, clock: FakeClock) -> RemoteCache[str]:
    return RemoteCache(
        shared, str, namespace="test", ttl_seconds=100, capacity=10, clock=clock.monotonic
    )


async def test_what_one_process_keeps_another_finds(shared: SharedRedis, clock: FakeClock) -> None:
    await remote(shared, clock).put({"a": Kept("A", 7.5), "b": Kept("B", 1.0)})

    other = remote(shared, clock)

    assert await other.get(["b", "x", "a"]) == [Kept("B", 1.0), Miss("cold"), Kept("A", 7.5)]
    assert (other.lookups.hits, other.lookups.misses) == (2, 1)


async def test_entries_that_were_made_together_do_not_end_together(
    redis: Redis, shared: SharedRedis, clock: FakeClock
) -> None:
    keys = [f"key {n}" for n in range(50)]
    await remote(shared, clock).put({key: Kept("x", 1.0) for key in keys})

    left = [await redis.pttl(f"test:{key}") for key in keys]

    assert all(89_000 < each <= 100_000 for each in left)
    assert max(left) - min(left) > 5_000
    await remote(shared, clock).put({key: Kept("x", 1.0) for key in keys})
    again = [await redis.pttl(f"test:{key}") for key in keys]
    assert all(abs(each - before) < 1_000 for each, before in zip(again, left, strict=True))


async def test_a_miss_tells_whether_redis_dropped_the_entry_or_its_time_was_over(
    redis: Redis, shared: SharedRedis, clock: FakeClock
) -> None:
    cache = remote(shared, clock)
    await cache.put({"a": Kept("A", 1.0)})
    await redis.delete("test:a")

    early = await cache.get(["a"])
    clock.advance(100)

    assert early == [Miss("evicted")]
    assert await cache.get(["a"]) == [Miss("expired")]


async def test_an_entry_of_another_form_is_a_miss(
    redis: Redis, shared: SharedRedis, clock: FakeClock
) -> None:
    await redis.set("test:a", b"\x93neither")

    with capture_logs() as logs:
        found = await remote(shared, clock).get(["a"])

    assert found == [Miss(None)]
    assert [log["event"] for log in logs] == ["cache_entry_unreadable"]


async def test_a_redis_that_is_gone_costs_nothing_but_misses(clock: FakeClock) -> None:
    with server_folder() as folder, running_redis(folder) as url:
        shared = SharedRedis(url, clock=clock.monotonic)
        cache = remote(shared, clock)
        await cache.put({"a": Kept("A", 1.0)})
        before = await cache.get(["a"])

    with capture_logs() as logs:
        gone = [await cache.get(["a", "b"]) for _ in range(100)]
        await cache.put({"b": Kept("B", 1.0)})
        clock.advance(30)
        await cache.get(["a"])
        clock.advance(30)
        await cache.get(["a"])
    await shared.close()

    assert before == [Kept("A", 1.0)]
    assert gone == [[Miss(None), Miss(None)]] * 100
    assert [log["event"] for log in logs] == ["cache_unreachable"] * 2


async def test_a_redis_that_is_gone_is_asked_again_after_a_while(clock: FakeClock) -> None:
    asked = 0

    async def command(_: Redis) -> str:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise ConnectionError
        return "here"

    shared = SharedRedis(f"redis://127.0.0.1:{ports.free_port()}", clock=clock.monotonic)
    first = [await shared.ask(command) for _ in range(5)]
    clock.advance(2)
    second = [await shared.ask(command) for _ in range(5)]
    clock.advance(2)
    third = [await shared.ask(command) for _ in range(2)]
    await shared.close()

    assert first + second == [None] * 10
    assert third == ["here", "here"]
    assert asked == 4


async def test_only_one_tries_whether_a_redis_is_back(clock: FakeClock) -> None:
    answer = asyncio.get_running_loop().create_future()
    tries = 0

    async def gone(_: Redis) -> str:
        raise ConnectionError

    async def trying(_: Redis) -> str:
        nonlocal tries
        tries += 1
        return str(await answer)

    shared = SharedRedis(f"redis://127.0.0.1:{ports.free_port()}", clock=clock.monotonic)
    await shared.ask(gone)
    clock.advance(2)
    first = asyncio.create_task(shared.ask(trying))
    await asyncio.sleep(0)
    others = [asyncio.create_task(shared.ask(trying)) for _ in range(3)]
    await asyncio.sleep(0)
    answer.set_result("back")
    answers = await asyncio.gather(first, *others)
    await shared.close()

    assert answers == ["back", None, None, None]
    assert tries == 1


async def test_the_second_layer_is_asked_for_what_the_first_does_not_have(
    shared: SharedRedis, clock: FakeClock, captured: Captured
) -> None:
    made: list[str] = []

    async def make(flights: Sequence[Flight[str]]) -> None:
        for flight in flights:
            made.append(flight.key)
            flight.succeed(Kept(flight.key.upper(), 5.0))

    one, other = (
        ReadThrough(
            MemoryCache[str](capacity=10, ttl_seconds=60, clock=clock.monotonic),
            remote(shared, clock),
        )
        for _ in range(2)
    )
    await one.find({"a": "LOW"}, make, operation="ask")
    await one.close()
    captured.clear()

    found = [await other.find({"a": "HIGH", "b": "LOW"}, make, operation="ask") for _ in range(2)]
    await other.close()

    assert found == [
        {"a": Found("A", "l2"), "b": Found("B", "new")},
        {"a": Found("A", "l1"), "b": Found("B", "l1")},
    ]
    assert made == ["a", "b"]
    events = [(e["layer"], e["hit"], e["gap_priority"]) for e in captured.of_type("cache")]
    assert events == [
        ("l1", False, "HIGH"), ("l1", False, "LOW"),
        ("l2", True, "HIGH"), ("l2", False, "LOW"),
        ("l1", True, "HIGH"), ("l1", True, "LOW"),
    ]  # fmt: skip
    stats = other.stats()
    assert (stats.l1_hits, stats.l1_misses, stats.l2_hits, stats.l2_misses) == (2, 2, 1, 1)
