"""The promises of a configuration, kept by the one in memory and by PostgreSQL."""

from __future__ import annotations

import pytest
import pytest_asyncio

from flags_svc.domain.flag import Environment, InEnvironment, Step
from flags_svc.domain.world import Author, Edit, World
from flags_svc.ports import Configuration, Head, MovedOnError
from flags_svc.store.configuration import PostgresConfiguration
from tests.flags_svc.memory import MemoryConfiguration
from tests.flags_svc.replicas import ANN, Process, a_deletion, a_flag, an_edit, put, wish
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


@pytest.fixture(params=["memory", "postgres"])
def configuration(request: pytest.FixtureRequest) -> Configuration:
    """Give an empty configuration."""
    if request.param == "memory":
        return MemoryConfiguration()
    return PostgresConfiguration(request.getfixturevalue("pool"))


@pytest_asyncio.fixture
async def process(configuration: Configuration) -> Process:
    """Give a process that has read it."""
    return Process(configuration, await configuration.load())


async def test_a_store_begins_empty_at_revision_0(configuration: Configuration) -> None:

    head = await configuration.head()

    assert head.revision == 0
    assert await configuration.load() == World(head.epoch)


async def test_what_was_committed_is_read_as_the_changes_say(process: Process) -> None:
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


async def test_a_split_keeps_its_written_order(process: Process) -> None:
    await process.editor.edit(put(FULL), ANN)

    held = (await process.configuration.load()).flags["full"].item

    fallthrough = held.environments["production"].fallthrough
    assert isinstance(fallthrough, Rollout)
    assert isinstance(fallthrough.serve, Split)
    assert list(fallthrough.serve.weights) == ["zz", "a", "mm"]


async def test_changes_are_read_on_from_a_revision(process: Process) -> None:
    await process.editor.edit(lambda _: [an_edit(a_flag(f"f{n}")) for n in range(5)], ANN)

    found = await process.configuration.since(1, limit=3)

    assert [(change.revision, change.edit.key) for change in found] == [
        (2, "f1"),
        (3, "f2"),
        (4, "f3"),
    ]


async def test_who_decided_on_an_older_revision_commits_nothing(
    configuration: Configuration,
) -> None:
    epoch = (await configuration.head()).epoch
    await configuration.commit([an_edit(a_flag("first"))], epoch=epoch, base=0, author=ANN)

    with pytest.raises(MovedOnError):
        await configuration.commit([an_edit(a_flag("second"))], epoch=epoch, base=0, author=ANN)

    assert list((await configuration.load()).flags) == ["first"]
    assert len(await configuration.since(0, limit=9)) == 1


async def test_who_knows_another_life_of_the_database_commits_nothing(
    configuration: Configuration,
) -> None:

    with pytest.raises(MovedOnError):
        await configuration.commit([an_edit(a_flag("f"))], epoch="other", base=0, author=ANN)


async def test_versions_go_on_over_deletion_and_return(process: Process) -> None:
    for edit in (an_edit(a_flag("f")), a_deletion("f"), an_edit(a_flag("f"))):
        await process.editor.edit(wish(edit), ANN)

    changes = await process.configuration.since(0, limit=9)

    assert [change.version for change in changes] == [1, 2, 3]
    assert changes[1].edit.item is None
    held = (await process.configuration.load()).flags["f"]
    assert (held.version, held.created_at) == (3, changes[2].at)
    assert await process.configuration.load() == process.live.world


async def test_an_item_may_come_twice_in_one_commit(process: Process) -> None:
    await process.editor.edit(put(a_flag("f")), ANN)
    edits = [a_deletion("f"), an_edit(a_flag("f", owner="b")), an_edit(a_flag("f", owner="c"))]

    changes = await process.editor.edit(lambda _: edits, ANN)

    assert [(change.revision, change.version) for change in changes] == [(2, 2), (3, 3), (4, 4)]
    loaded = await process.configuration.load()
    assert loaded == process.live.world
    assert loaded.flags["f"].item.owner == "c"


async def test_a_database_begins_anew_only_as_far_as_it_is_known(process: Process) -> None:
    await process.editor.edit(put(FULL), ANN)
    head = await process.configuration.head()

    await process.configuration.begin_anew(Head(head.epoch, 0))
    unchanged = await process.configuration.head()
    await process.configuration.begin_anew(head)

    now = await process.configuration.head()
    assert unchanged == head
    assert (now.revision, (await process.configuration.load()).epoch) == (1, now.epoch)
    assert now.epoch != head.epoch


async def test_no_edits_are_no_revision(configuration: Configuration) -> None:
    epoch = (await configuration.head()).epoch

    assert list(await configuration.commit([], epoch=epoch, base=0, author=ANN)) == []

    assert (await configuration.head()).revision == 0
