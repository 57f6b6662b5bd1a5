"""Many who write at once, and what becomes of a change whose writer dies."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
import pytest

from flags_svc.domain.world import Author, Change, Edit, World
from flags_svc.ports import MovedOnError
from flags_svc.store.configuration import CHANNEL, PostgresConfiguration
from tests.fixtures.servers import RunningPostgres
from tests.flags_svc.replicas import ANN, Process, a_flag, an_edit, enable, put, started, wish
from windsock_kit.errors import ConflictError, NotFoundError, UnavailableError
from windsock_kit.postgres import open_pool

WRITERS = 20
EACH = 5
DYING = """
import asyncio, os, sys
from windsock_kit.postgres import open_pool
from tests.flags_svc.replicas import ANN, a_flag, put, started


async def die(epoch, changes):
    os._exit(9)


async def main():
    async with open_pool(sys.argv[1], application_name="dying", min_size=0, max_size=2) as pool:
        process = await started(pool)
        process.announced.announce = die
        await process.editor.edit(put(a_flag("left")), ANN)


asyncio.run(main())
"""


def one_more_word(key: str, word: str) -> Callable[[World], Sequence[Edit]]:
    """Return a decision that needs what is there to be the newest."""

    def decide(world: World) -> Sequence[Edit]:
        held = world.flags[key].item
        return [an_edit(a_flag(key, description=f"{held.description} {word}".strip()), "describe")]

    return decide


async def test_of_many_writers_in_many_processes_none_is_lost(pool: Any, flags_url: str) -> None:
    first = await started(pool)
    heard: asyncio.Queue[str] = asyncio.Queue()
    listener = await asyncpg.connect(flags_url)
    await listener.add_listener(CHANNEL, lambda *got: heard.put_nowait(str(got[3])))
    await first.editor.edit(put(a_flag("f")), ANN)
    processes = [await started(pool) for _ in range(WRITERS)]

    async def write(number: int) -> None:
        for time in range(EACH):
            await processes[number].editor.edit(one_more_word("f", f"{number}:{time}"), ANN)

    await asyncio.gather(*map(write, range(WRITERS)))

    loaded = await first.configuration.load()
    made = [f"{number}:{time}" for number in range(WRITERS) for time in range(EACH)]
    assert sorted(loaded.flags["f"].item.description.split()) == sorted(made)
    changes = await first.configuration.since(0, limit=1_000)
    assert [change.revision for change in changes] == list(range(1, 2 + WRITERS * EACH))
    assert [change.version for change in changes] == list(range(1, 2 + WRITERS * EACH))
    assert World(loaded.epoch).after(changes) == loaded
    told = [await asyncio.wait_for(heard.get(), 20) for _ in changes]
    await listener.close()
    assert told == [f"{loaded.epoch} {change.revision}" for change in changes]


async def test_writers_in_one_process_wait_for_each_other(pool: Any) -> None:
    process = await started(pool)
    await process.editor.edit(put(a_flag("f")), ANN)

    await asyncio.gather(
        *(process.editor.edit(one_more_word("f", str(n)), ANN) for n in range(WRITERS))
    )

    held = (await process.configuration.load()).flags["f"].item
    assert sorted(held.description.split()) == sorted(map(str, range(WRITERS)))
    assert process.announced.revisions == list(range(1, 2 + WRITERS))


async def test_a_change_is_announced_after_its_commit(pool: Any) -> None:
    process = await started(pool)

    changes = await process.editor.edit(put(a_flag("f")), ANN)

    assert process.announced.revisions == [1]
    assert process.live.world.flags["f"].item == changes[0].edit.item


async def test_nothing_to_do_is_no_revision(pool: Any) -> None:
    process = await started(pool)
    await process.editor.edit(put(a_flag("f")), ANN)
    await process.editor.edit(enable("f"), ANN)

    assert await process.editor.edit(enable("f"), ANN) == []

    assert (await process.configuration.head()).revision == 2


async def test_what_another_process_has_just_made_is_not_refused(pool: Any) -> None:
    here, there = await started(pool), await started(pool)
    await there.editor.edit(put(a_flag("f")), ANN)

    def decide(world: World) -> Sequence[Edit]:
        if "f" not in world.flags:
            raise NotFoundError("there is no flag f")
        return enable("f")(world)

    changes = await here.editor.edit(decide, ANN)

    assert [change.revision for change in changes] == [2]


async def test_all_as_wished_holds_of_the_newest_world_only(pool: Any) -> None:
    here, there = await started(pool), await started(pool)
    await here.editor.edit(put(a_flag("f")), ANN)
    await here.editor.edit(enable("f"), ANN)
    await there.live.catch_up()
    await there.editor.edit(put(a_flag("f")), ANN)

    changes = await here.editor.edit(enable("f"), ANN)

    assert [change.revision for change in changes] == [4]


async def test_a_refusal_changes_nothing(pool: Any) -> None:
    process = await started(pool)

    def refuse(_: World) -> Sequence[Edit]:
        raise ConflictError("no")

    with pytest.raises(ConflictError):
        await process.editor.edit(refuse, ANN)

    assert (await process.configuration.head()).revision == 0


async def test_many_flags_are_one_commit(pool: Any, flags_url: str) -> None:
    process = await started(pool)
    seen: list[int] = []
    heard = asyncio.Event()

    async def look() -> None:
        head = await PostgresConfiguration(pool).head()
        seen.append(head.revision)

    listener = await asyncpg.connect(flags_url)
    await listener.add_listener(CHANNEL, lambda *_: heard.set())
    writing = asyncio.create_task(
        process.editor.edit(wish(*(an_edit(a_flag(f"f{n}")) for n in range(2_000))), ANN)
    )
    while not writing.done():
        await look()
    await asyncio.wait_for(heard.wait(), 20)
    await look()
    await listener.close()

    assert set(seen) <= {0, 2_000}
    assert len((await process.configuration.load()).flags) == 2_000
    assert process.live.world == await process.configuration.load()


async def test_of_a_commit_that_fails_nothing_stays(pool: Any) -> None:
    process = await started(pool)
    wrong = Edit("flg", "f", a_flag("f"), "create")  # type: ignore[arg-type]  # What the database refuses.

    with pytest.raises(asyncpg.CheckViolationError):
        await process.editor.edit(wish(an_edit(a_flag("g")), wrong), ANN)

    assert await process.configuration.load() == process.live.world
    assert process.announced.revisions == []


async def test_a_change_whose_writer_dies_before_it_tells_anybody_arrives(
    pool: Any, flags_url: str
) -> None:
    process = await started(pool)
    heard: asyncio.Queue[str] = asyncio.Queue()
    listener = await asyncpg.connect(flags_url)
    await listener.add_listener(CHANNEL, lambda *got: heard.put_nowait(str(got[3])))

    dying = await asyncio.create_subprocess_exec(sys.executable, "-c", DYING, flags_url)
    assert await asyncio.wait_for(dying.wait(), 30) == 9

    assert await asyncio.wait_for(heard.get(), 20) == f"{process.live.world.epoch} 1"
    await listener.close()
    process.live.apply(process.live.world.epoch, await process.configuration.since(0, limit=9))
    assert list(process.live.world.flags) == ["left"]


async def test_without_the_database_a_change_is_refused_and_the_world_stays(
    own_postgres: RunningPostgres,
) -> None:
    url = await own_postgres.new_flags_database("flags")
    async with open_pool(url, application_name="test", min_size=0, max_size=2) as pool:
        process = await started(pool)
        await process.editor.edit(put(a_flag("f")), ANN)
        own_postgres.stop()

        with pytest.raises(UnavailableError):
            await process.editor.edit(enable("f"), ANN)
        assert list(process.live.world.flags) == ["f"]

        await own_postgres.start()
        assert process.live.world == await process.configuration.load()
        assert len(await process.editor.edit(enable("f"), ANN)) == 1


async def test_who_never_comes_first_is_told_to_try_again(pool: Any) -> None:
    process = await started(pool)

    class Late:
        def __getattr__(self, name: str) -> Any:
            return getattr(process.configuration, name)

        async def commit(self, *_: Any, **__: Any) -> Sequence[Change]:
            raise MovedOnError("too late")

    late = Process(Late(), process.live.world)

    with pytest.raises(UnavailableError):
        await late.editor.edit(put(a_flag("f")), Author("ann"))
