from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from adaptive_questions.caches.flight import Flight
from adaptive_questions.caches.lookup import Kept
from adaptive_questions.caches.memory import MemoryCache
from adaptive_questions.caches.read_through import Found, ReadThrough
from windsock.testing import Captured, capture
from windsock_kit.testing import FakeClock


class Maker:
    """Makes values in upper case, when it is let; notes what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.error: Exception | None = None
        self.let_go = asyncio.Event()
        self.let_go.set()

    async def __call__(self, flights: Sequence[Flight[str]]) -> None:
        self.asked += [flight.key for flight in flights]
        await self.let_go.wait()
        if self.error is not None:
            raise self.error
        for flight in flights:
            flight.succeed(Kept(flight.key.upper(), 5.0))


@pytest.fixture(autouse=True)
def captured() -> Iterator[Captured]:
    with capture() as captured:
        yield captured


@pytest.fixture
def cache() -> ReadThrough[str]:
    near = MemoryCache[str](capacity=10, ttl_seconds=60, clock=FakeClock().monotonic)
    return ReadThrough(near, None)


@pytest.fixture
def make() -> Maker:
    return Maker()


async def find(
    cache: ReadThrough[str], make: Maker, *keys: str
) -> dict[str, Found[str] | Exception]:
    return await cache.find(dict.fromkeys(keys), make, operation="ask")


async def test_all_who_ask_for_a_key_get_what_is_made_once(
    cache: ReadThrough[str], make: Maker
) -> None:
    make.let_go.clear()
    asking = [asyncio.create_task(find(cache, make, "a", "b")) for _ in range(50)]
    await asyncio.sleep(0)
    make.let_go.set()

    found = await asyncio.gather(*asking)

    assert make.asked == ["a", "b"]
    assert found[0] == {"a": Found("A", "new"), "b": Found("B", "new")}
    assert found[1:] == [{"a": Found("A", "shared"), "b": Found("B", "shared")}] * 49
    assert cache.stats().shared == 98
    assert await find(cache, make, "a") == {"a": Found("A", "l1")}


async def test_only_what_is_missing_is_made(cache: ReadThrough[str], make: Maker) -> None:
    await find(cache, make, "a")

    found = await find(cache, make, "a", "b")

    assert found == {"a": Found("A", "l1"), "b": Found("B", "new")}
    assert make.asked == ["a", "b"]


async def test_the_others_get_their_value_when_the_first_one_leaves(
    cache: ReadThrough[str], make: Maker
) -> None:
    make.let_go.clear()
    first = asyncio.create_task(find(cache, make, "a"))
    await asyncio.sleep(0)
    second = asyncio.create_task(find(cache, make, "a"))
    await asyncio.sleep(0)

    first.cancel()
    await asyncio.wait([first])
    make.let_go.set()

    assert await second == {"a": Found("A", "shared")}
    assert make.asked == ["a"]


async def test_one_who_leaves_takes_nobody_along(cache: ReadThrough[str], make: Maker) -> None:
    make.let_go.clear()
    first = asyncio.create_task(find(cache, make, "a"))
    await asyncio.sleep(0)
    second = asyncio.create_task(find(cache, make, "a"))
    await asyncio.sleep(0)

    second.cancel()
    await asyncio.wait([second])
    make.let_go.set()

    assert await first == {"a": Found("A", "new")}


async def test_a_failure_is_told_to_all_who_wait_and_not_kept(
    cache: ReadThrough[str], make: Maker
) -> None:
    make.error = ValueError("out of luck")
    make.let_go.clear()
    asking = [asyncio.create_task(find(cache, make, "a")) for _ in range(3)]
    await asyncio.sleep(0)
    make.let_go.set()

    found = await asyncio.gather(*asking)
    make.error = None

    assert [type(each["a"]) for each in found] == [ValueError] * 3
    assert make.asked == ["a"]
    assert await find(cache, make, "a") == {"a": Found("A", "new")}


async def test_what_was_made_before_a_failure_is_kept(cache: ReadThrough[str]) -> None:
    async def half(flights: Sequence[Flight[str]]) -> None:
        flights[0].succeed(Kept("A", 1.0))
        raise ValueError("the rest is missing")

    found = await cache.find({"a": None, "b": None}, half, operation="ask")

    assert found["a"] == Found("A", "new")
    assert isinstance(found["b"], ValueError)


async def test_closing_lets_nobody_wait_for_ever(cache: ReadThrough[str], make: Maker) -> None:
    make.let_go.clear()
    asking = asyncio.create_task(find(cache, make, "a"))
    await asyncio.sleep(0)

    await cache.close(grace_seconds=0.01)

    found = await asking
    assert isinstance(found["a"], RuntimeError)


async def test_every_look_up_is_one_event(
    cache: ReadThrough[str], make: Maker, captured: Captured
) -> None:
    await cache.find({"a": "HIGH", "b": None}, make, operation="ask")
    await cache.find({"a": "LOW"}, make, operation="ask again")

    names = ("operation", "layer", "hit", "miss_reason", "saved_ms", "gap_priority")
    events = captured.of_type("cache")
    assert [tuple(event.get(name) for name in names) for event in events] == [
        ("ask", "l1", False, "cold", None, "HIGH"),
        ("ask", "l1", False, "cold", None, None),
        ("ask again", "l1", True, None, 5.0, "LOW"),
    ]
