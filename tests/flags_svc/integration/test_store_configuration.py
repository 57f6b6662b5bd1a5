"""Flags, segments and environments in PostgreSQL, and who may write them when."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from flags_svc.domain.flag import Environment, InEnvironment, Step
from flags_svc.domain.world import Author, Edit, World
from flags_svc.ports import MovedOnError
from flags_svc.store.configuration import CHANNEL, PostgresConfiguration
from flags_svc.store.keys import Keys
from tests.flags_svc.replicas import ANN, a_deletion, a_flag, an_edit, put, started, wish
from windsock.flags.definition import All, Condition, InSegment, Rollout, Rule, Segment, Split

SEGMENT = Segment("staff", frozenset({"ann"}), when=Condition("mail", "ends_with", ("@b.example",)))
FULL = a_flag(
    "full",
    variants={"on": True, "off": False, "zz": True, "a": True, "mm": False},
    environments={
        "production": InEnvironment(
            True,
            rules=(Rule(All((InSegment("staff"),)), Split({"on": 1, "off": 2})),),
            fallthrough=Rollout(25_000, Split({"zz": 1, "a": 2, "mm": 3}), "off"),
            schedule=(
                Step(at=1e9, percentage=5_000, done_at=1e9),
                Step(after_seconds=60.0, enabled=False),
            ),
        )
    },
)


async def test_a_store_begins_empty_at_revision_0(pool: Any) -> None:
    configuration = PostgresConfiguration(pool)

    head = await configuration.head()

    assert head.revision == 0
    assert await configuration.load() == World(head.epoch)


async def test_what_was_committed_is_read_as_the_changes_say(pool: Any) -> None:
    process = await started(pool)
    staff, production = Edit("segment", "staff", SEGMENT, "create"), Environment("production")

    await process.editor.edit(
        lambda _: [staff, Edit("environment", "production", production, "create"), an_edit(FULL)],
        ANN,
    )
    await process.editor.edit(lambda _: [an_edit(a_flag("full"), "replace")], Author("bob"))

    loaded = await process.configuration.load()
    assert loaded == process.live.world
    assert (loaded.revision, loaded.flags["full"].version) == (4, 2)
    assert loaded.flags["full"].updated_by == "bob"
    first = (await process.configuration.since(0, limit=3))[2]
    assert first.edit == an_edit(FULL)
    assert first.author == ANN


async def test_a_split_keeps_its_written_order(pool: Any) -> None:
    process = await started(pool)
    await process.editor.edit(put(FULL), ANN)

    held = (await process.configuration.load()).flags["full"].item

    fallthrough = held.environments["production"].fallthrough
    assert isinstance(fallthrough, Rollout)
    assert isinstance(fallthrough.serve, Split)
    assert list(fallthrough.serve.weights) == ["zz", "a", "mm"]


async def test_changes_are_read_on_from_a_revision(pool: Any) -> None:
    process = await started(pool)
    await process.editor.edit(lambda _: [an_edit(a_flag(f"f{n}")) for n in range(5)], ANN)

    found = await process.configuration.since(1, limit=3)

    assert [(change.revision, change.edit.key) for change in found] == [
        (2, "f1"),
        (3, "f2"),
        (4, "f3"),
    ]


async def test_who_decided_on_an_older_revision_commits_nothing(pool: Any) -> None:
    configuration = PostgresConfiguration(pool)
    epoch = (await configuration.head()).epoch
    await configuration.commit([an_edit(a_flag("first"))], epoch=epoch, base=0, author=ANN)

    with pytest.raises(MovedOnError):
        await configuration.commit([an_edit(a_flag("second"))], epoch=epoch, base=0, author=ANN)

    assert list((await configuration.load()).flags) == ["first"]
    assert len(await configuration.since(0, limit=9)) == 1


async def test_who_knows_another_life_of_the_database_commits_nothing(pool: Any) -> None:
    configuration = PostgresConfiguration(pool)

    with pytest.raises(MovedOnError):
        await configuration.commit([an_edit(a_flag("f"))], epoch="other", base=0, author=ANN)


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


async def test_versions_go_on_over_deletion_and_return(pool: Any) -> None:
    process = await started(pool)
    for edit in (an_edit(a_flag("f")), a_deletion("f"), an_edit(a_flag("f"))):
        await process.editor.edit(wish(edit), ANN)

    changes = await process.configuration.since(0, limit=9)

    assert [change.version for change in changes] == [1, 2, 3]
    assert changes[1].edit.item is None
    held = (await process.configuration.load()).flags["f"]
    assert (held.version, held.created_at) == (3, changes[2].at)
    assert await process.configuration.load() == process.live.world


async def test_an_item_may_come_twice_in_one_commit(pool: Any) -> None:
    process = await started(pool)
    await process.editor.edit(put(a_flag("f")), ANN)
    edits = [a_deletion("f"), an_edit(a_flag("f", owner="b")), an_edit(a_flag("f", owner="c"))]

    changes = await process.editor.edit(lambda _: edits, ANN)

    assert [(change.revision, change.version) for change in changes] == [(2, 2), (3, 3), (4, 4)]
    loaded = await process.configuration.load()
    assert loaded == process.live.world
    assert loaded.flags["f"].item.owner == "c"


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
