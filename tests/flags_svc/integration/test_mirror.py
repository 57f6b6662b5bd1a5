"""What services find in Redis that listen there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from flags_svc.domain.flag import Environment, InEnvironment
from flags_svc.domain.world import Edit
from flags_svc.live import mirror
from tests.flags_svc.processes import Process, a_process
from tests.flags_svc.replicas import ANN, a_deletion, a_flag, an_edit, wish
from tests.flags_svc.waiting import mirrored
from windsock.flags.definition import Segment

PRODUCTION = Edit("environment", "production", Environment("production"), "create")
HASH = "windsock:flags:production"
ON = an_edit(a_flag("f", environments={"production": InEnvironment(True)}))


@pytest_asyncio.fixture
async def redis(redis_url: str) -> AsyncGenerator[Redis]:
    async with Redis.from_url(redis_url, decode_responses=True) as client:
        await client.flushall()
        yield client


@pytest_asyncio.fixture
async def process(
    flags_url: str, redis_url: str, redis: Redis, pool: Any
) -> AsyncGenerator[Process]:
    async with a_process(flags_url, redis_url=redis_url) as made:
        await made.editor.edit(wish(PRODUCTION, an_edit(a_flag("f"))), ANN)
        await mirrored(redis_url, 2)
        yield made


@asynccontextmanager
async def messages(redis: Redis) -> AsyncGenerator[Any]:
    """Listen to production's channel; gives what returns the next message."""
    async with redis.pubsub(ignore_subscribe_messages=True) as heard:
        await heard.subscribe(f"{HASH}:changes")
        await heard.get_message(ignore_subscribe_messages=False, timeout=20)

        async def following() -> Any:
            message = await heard.get_message(timeout=20)
            assert message is not None
            return orjson.loads(message["data"])

        yield following


async def test_flags_and_segments_are_fields_of_a_hash(process: Process, redis_url: str) -> None:
    segment = Edit("segment", "s", Segment("s", frozenset({"ann"})), "create")
    await process.editor.edit(wish(ON, segment, an_edit(a_flag("gone"))), ANN)
    await process.editor.edit(wish(a_deletion("gone")), ANN)

    found = await mirrored(redis_url, 6)

    assert found.keys() == {"epoch", "revision", "flag:f", "segment:s"}
    assert (found["epoch"], found["revision"]) == (process.replica.world.epoch, "6")
    assert orjson.loads(found["flag:f"])["key"] == "f"
    assert orjson.loads(found["segment:s"])["included"] == ["ann"]


async def test_every_change_goes_out_once_whoever_writes_it(
    process: Process, flags_url: str, redis_url: str, redis: Redis
) -> None:
    async with a_process(flags_url, redis_url=redis_url), messages(redis) as following:
        for number in range(10):
            await process.editor.edit(wish(an_edit(a_flag(f"f{number}"))), ANN)
            await mirrored(redis_url, 3 + number)
        told = [await following() for _ in range(10)]

    assert [each["revision"] for each in told] == list(range(3, 13))
    assert [each["previous"] for each in told] == list(range(2, 12))
    assert [each["flags"][0]["key"] for each in told] == [f"f{number}" for number in range(10)]


async def test_a_great_change_has_its_listeners_read_the_hash(
    process: Process, redis_url: str, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "MAX_BYTES", 10)

    async with messages(redis) as following:
        await process.editor.edit(wish(ON), ANN)
        told = await following()

    assert (told["previous"], told["revision"], told["flags"]) == (3, 3, [])
    assert orjson.loads((await mirrored(redis_url, 3))["flag:f"]).get("enabled", True)


@pytest.mark.parametrize("held", [{}, {"epoch": "another", "revision": "900"}, {"epoch": "x"}])
async def test_what_is_lost_or_of_another_database_is_written_anew(
    process: Process, redis_url: str, redis: Redis, held: dict[str, str]
) -> None:
    assert process.parts.mirror is not None

    async with messages(redis) as following:
        await redis.delete(HASH)
        if held:
            left: dict[Any, Any] = {"flag:left": "{}", **held}
            await redis.hset(HASH, mapping=left)
        await process.parts.mirror.tick()
        told = await following()

    found = await mirrored(redis_url, 2)
    assert found.keys() == {"epoch", "revision", "flag:f"}
    assert (told["previous"], told["revision"], told["flags"]) == (2, 2, [])


@pytest.mark.parametrize("held", [{"revision": "9"}, {"epoch": "newer", "revision": "9"}])
async def test_who_knows_less_changes_nothing(
    process: Process, redis_url: str, redis: Redis, held: dict[str, str]
) -> None:
    process.configuration.away = True
    newer: dict[Any, Any] = {**held, "flag:newer": "{}"}
    await redis.hset(HASH, mapping=newer)
    assert process.parts.mirror is not None

    for _ in range(2):
        await process.parts.mirror.tick()

    found = await mirrored(redis_url, 9)
    assert found.keys() == {"epoch", "revision", "flag:f", "flag:newer"}
    assert held.items() <= found.items()


async def test_a_database_that_is_behind_redis_begins_anew(
    process: Process, redis_url: str, redis: Redis
) -> None:
    epoch = process.replica.world.epoch
    await redis.hset(HASH, mapping={"revision": "9", "flag:lost": "{}"})
    assert process.parts.mirror is not None

    for _ in range(2):
        await process.parts.mirror.tick()

    found = await redis.hgetall(HASH)
    assert found.keys() == {"epoch", "revision", "flag:f"}
    assert found["revision"] == "2"
    assert found["epoch"] == process.replica.world.epoch != epoch


async def test_a_deleted_environment_is_gone(process: Process, redis: Redis) -> None:
    await process.editor.edit(wish(Edit("environment", "production", None, "delete")), ANN)

    async with asyncio.timeout(30):
        while await redis.exists(HASH):  # noqa: ASYNC110 - nobody tells.
            await asyncio.sleep(0.005)
