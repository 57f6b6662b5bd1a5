"""Flags, segments and environments in PostgreSQL, and who may write them when."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from flags_svc.domain.world import Author
from flags_svc.ports import MovedOnError
from flags_svc.store.configuration import CHANNEL, PostgresConfiguration
from flags_svc.store.keys import Keys
from tests.fixtures.servers import RunningPostgres
from tests.flags_svc.replicas import ANN, a_flag, an_edit, put, started
from windsock_kit.postgres import open_pool


async def test_of_two_commits_at_the_same_moment_one_gets_through(pool: Any) -> None:
    configuration = PostgresConfiguration(pool)
    epoch = (await configuration.head()).epoch

    results = await asyncio.gather(
        *(
            configuration.commit([an_edit(a_flag(f"f{n}"))], epoch=epoch, base=0, author=ANN)
            for n in range(8)
        ),
        return_exceptions=True,
    )

    assert sum(isinstance(result, MovedOnError) for result in results) == 7
    assert (await configuration.head()).revision == 1


async def test_listeners_are_told_of_a_commit_and_of_nothing_else(
    pool: Any, flags_url: str
) -> None:
    process = await started(pool)
    heard: asyncio.Queue[str] = asyncio.Queue()
    listener = await asyncpg.connect(flags_url)
    await listener.add_listener(CHANNEL, lambda *got: heard.put_nowait(str(got[3])))
    epoch = process.live.world.epoch

    with pytest.raises(MovedOnError):
        await process.configuration.commit([an_edit(a_flag("f"))], epoch=epoch, base=7, author=ANN)
    await process.editor.edit(lambda _: [an_edit(a_flag("f")), an_edit(a_flag("g"))], ANN)

    assert await asyncio.wait_for(heard.get(), 20) == f"{epoch} 2"
    await listener.close()
    assert heard.empty()


async def test_what_postgresql_cannot_hold_becomes_a_replacement(pool: Any) -> None:
    process = await started(pool)

    changes = await process.editor.edit(put(a_flag("f")), Author("a\0b", "c\ud800"))

    assert changes[0].author == Author("a\N{REPLACEMENT CHARACTER}b", "c\N{REPLACEMENT CHARACTER}")
    assert await process.configuration.since(0, limit=1) == changes


async def test_a_key_is_made_once(pool: Any) -> None:
    made = await asyncio.gather(*(Keys(pool).get("ofrep") for _ in range(8)))

    assert len(set(made)) == 1
    assert len(made[0]) == 32
    assert await Keys(pool).get("other") != made[0]


async def test_what_was_answered_is_there_after_a_crash(own_postgres: RunningPostgres) -> None:
    url = await own_postgres.new_flags_database("flags")
    async with open_pool(url, application_name="test", min_size=0, max_size=2) as pool:
        process = await started(pool)
        await process.editor.edit(put(a_flag("f")), ANN)
        own_postgres.kill()
    await own_postgres.start()

    async with open_pool(url, application_name="test", min_size=0, max_size=2) as pool:
        configuration = PostgresConfiguration(pool)
        assert await configuration.load() == process.live.world
        assert len(await configuration.since(0, limit=9)) == 1
