from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from flags_svc.domain.flag import InEnvironment
from flags_svc.domain.world import Change, Edit, GapError, World
from flags_svc.live.event_id import EventId
from flags_svc.live.recent import REVISIONS
from flags_svc.live.replica import Replica
from flags_svc.ports import Head
from tests.flags_svc.memory import PRODUCTION, MemoryConfiguration
from tests.flags_svc.replicas import a_deletion, a_flag, an_edit
from windsock_kit.errors import NotFoundError, UnavailableError

ON = {"production": InEnvironment(True)}


def variant(replica: Replica, key: str = "f") -> str | None:
    return replica.compiled("production")[key].evaluate(None, {}).variant


@pytest.fixture
def configuration() -> MemoryConfiguration:
    made = MemoryConfiguration()
    made.put(PRODUCTION, an_edit(a_flag("f")))
    return made


@pytest.fixture
async def replica(configuration: MemoryConfiguration) -> Replica:
    made = Replica(configuration)
    await made.catch_up()
    return made


async def test_without_a_world_everything_is_unavailable() -> None:
    replica = Replica(MemoryConfiguration())

    assert not replica.known
    with pytest.raises(UnavailableError):
        _ = replica.world
    with pytest.raises(UnavailableError):
        replica.compiled("production")
    with pytest.raises(GapError):
        replica.apply("e1", [])


async def test_what_follows_is_in_force_at_once(
    configuration: MemoryConfiguration, replica: Replica
) -> None:
    changes = configuration.put(an_edit(a_flag("f", environments=ON)))
    before = variant(replica)

    replica.apply("e1", changes)

    assert (before, variant(replica)) == ("off", "on")
    assert (replica.revision, replica.event_id) == (3, "e1-3")


async def test_what_is_known_is_passed_over(
    configuration: MemoryConfiguration, replica: Replica
) -> None:
    told: list[Sequence[Change]] = []
    replica.watchers.append(told.append)
    new = configuration.put(an_edit(a_flag("f", environments=ON)))

    replica.apply("e1", configuration.changes)
    replica.apply("e1", new)

    assert told == [new]
    assert replica.revision == 3


async def test_a_gap_changes_nothing_and_is_closed_by_catching_up(
    configuration: MemoryConfiguration, replica: Replica
) -> None:
    configuration.put(an_edit(a_flag("g", environments=ON)))
    later = configuration.put(an_edit(a_flag("f", environments=ON)))

    with pytest.raises(GapError):
        replica.apply("e1", later)
    assert (replica.revision, variant(replica)) == (2, "off")
    await replica.catch_up()

    assert (replica.revision, variant(replica), variant(replica, "g")) == (4, "on", "on")
    assert configuration.loads == 1


async def test_changes_of_another_epoch_are_a_gap(
    configuration: MemoryConfiguration, replica: Replica
) -> None:
    with pytest.raises(GapError):
        replica.apply("e2", configuration.put(an_edit(a_flag("g"))))


@pytest.mark.parametrize("reason", ["far behind", "history is gone"])
async def test_who_is_too_far_behind_reads_everything(
    configuration: MemoryConfiguration, replica: Replica, reason: str
) -> None:
    number = REVISIONS + 1 if reason == "far behind" else 2
    configuration.put(*[an_edit(a_flag("f", environments=ON))] * number)
    if reason == "history is gone":
        configuration.oldest = configuration.world.revision - 1

    await replica.catch_up()

    assert (replica.revision, variant(replica)) == (2 + number, "on")
    assert configuration.loads == 2


async def test_another_database_replaces_everything(replica: Replica) -> None:
    other = MemoryConfiguration("e2")
    other.put(PRODUCTION)
    replica._configuration = other

    await replica.catch_up()

    assert replica.event_id == "e2-1"
    assert "f" not in replica.compiled("production")


async def test_a_database_that_went_back_is_followed(
    configuration: MemoryConfiguration, replica: Replica
) -> None:
    before = configuration.world
    replica.apply("e1", configuration.put(an_edit(a_flag("f", environments=ON))))
    configuration.world = before

    await replica.catch_up()

    assert (replica.revision, variant(replica)) == (2, "off")
    assert replica.event_id == "e1+-2"


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("seen", "expected"), [("e1-3", "e1+-2"), ("e1-2", "e1-2"), ("e0-3", "e1-2")]
)
async def test_a_database_is_held_against_what_others_have_seen(
    configuration: MemoryConfiguration, known: bool, seen: str, expected: str
) -> None:
    replica = Replica(configuration)
    if known:
        await replica.catch_up()

    await replica.catch_up(EventId.read(seen))

    assert replica.event_id == expected


class Overtaken(MemoryConfiguration):
    """Somebody commits whenever it is to begin anew, until it is as far as it was."""

    async def begin_anew(self, head: Head) -> None:
        self.put(an_edit(a_flag("g")))
        await super().begin_anew(head)


async def test_a_database_that_is_as_far_again_by_then_is_left_alone() -> None:
    configuration = Overtaken()
    configuration.put(PRODUCTION)
    replica = Replica(configuration)

    await replica.catch_up(EventId("e1", 3))

    assert replica.event_id == "e1-3"


class Slow(MemoryConfiguration):
    """Answers with what was there when it was asked, later."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.answering = asyncio.Event()

    async def load(self) -> World:
        found = await super().load()
        self.asked.set()
        await self.answering.wait()
        return found


async def test_what_is_told_while_everything_is_read_is_kept() -> None:
    configuration = Slow()
    configuration.put(PRODUCTION, an_edit(a_flag("f")))
    replica = Replica(configuration)
    replica.restore(configuration.world)
    configuration.put(*[an_edit(a_flag("f"))] * (REVISIONS + 1))
    catching_up = asyncio.create_task(replica.catch_up())
    await configuration.asked.wait()

    configuration.put(an_edit(a_flag("f", environments=ON)))
    replica.apply("e1", configuration.changes[2:])
    configuration.answering.set()
    await catching_up

    assert replica.revision == configuration.world.revision
    assert variant(replica) == "on"


async def test_an_archived_flag_is_gone_and_comes_back(
    configuration: MemoryConfiguration, replica: Replica
) -> None:
    replica.apply("e1", configuration.put(an_edit(a_flag("f", archived=True))))
    archived = "f" in replica.compiled("production")
    replica.apply("e1", configuration.put(an_edit(a_flag("f"))))

    assert not archived
    assert "f" in replica.compiled("production")


async def test_environments_come_and_go(
    configuration: MemoryConfiguration, replica: Replica
) -> None:
    replica.apply("e1", configuration.put(Edit("environment", "production", None, "delete")))
    with pytest.raises(NotFoundError) as refused:
        replica.compiled("production")
    replica.apply("e1", configuration.put(PRODUCTION))

    assert refused.value.allowed == []
    assert variant(replica) == "off"


async def test_a_deleted_flag_is_gone(configuration: MemoryConfiguration, replica: Replica) -> None:
    replica.apply("e1", configuration.put(a_deletion("f")))

    assert "f" not in replica.compiled("production")


async def test_what_a_file_told_is_used_until_the_database_answers(
    configuration: MemoryConfiguration,
) -> None:
    replica = Replica(configuration)
    replica.restore(configuration.world)
    told_by_file = replica.confirmed
    configuration.put(an_edit(a_flag("f", environments=ON)))

    await replica.catch_up()
    replica.restore(World("e9"))

    assert not told_by_file
    assert replica.confirmed
    assert (replica.event_id, variant(replica)) == ("e1-3", "on")
    assert configuration.loads == 0
