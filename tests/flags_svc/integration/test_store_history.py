"""What happened to an item, over its deletion and return."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from flags_svc.domain.decisions import create, delete, revert
from flags_svc.domain.flag import ManagedFlag
from flags_svc.domain.world import Author, Item
from flags_svc.store.history import History
from tests.flags_svc.replicas import ANN, Process, a_flag, put, started
from windsock_kit.errors import NotFoundError

BOB = Author("bob")


@pytest_asyncio.fixture
async def process(pool: Any) -> Process:
    """Give a process after a flag was made, changed, deleted and made again, and another beside it."""
    made = await started(pool)
    await made.editor.edit(create(a_flag("f", owner="first")), ANN)
    await made.editor.edit(put(a_flag("other")), BOB)
    await made.editor.edit(put(a_flag("f", owner="second")), BOB)
    await made.editor.edit(delete("flag", "f"), ANN)
    await made.editor.edit(create(a_flag("f", owner="third")), BOB)
    return made


@pytest.fixture
def history(pool: Any) -> History:
    return History(pool)


def owner(item: Item | None) -> str | None:
    assert item is None or isinstance(item, ManagedFlag)
    return None if item is None else item.owner


async def test_history_goes_on_over_deletion_and_return(process: Process, history: History) -> None:
    found = await history.of_item("flag", "f", limit=9)

    assert [
        (each.version, each.revision, each.author.name, owner(each.edit.item)) for each in found
    ] == [
        (4, 5, "bob", "third"),
        (3, 4, "ann", None),
        (2, 3, "bob", "second"),
        (1, 1, "ann", "first"),
    ]
    assert found[0].author == BOB
    assert found[3].author == ANN


async def test_history_is_read_in_pages(process: Process, history: History) -> None:
    first = await history.of_item("flag", "f", limit=2)
    rest = await history.of_item("flag", "f", before=first[-1].version, limit=9)

    assert [each.version for each in [*first, *rest]] == [4, 3, 2, 1]
    assert await history.of_item("flag", "f", before=1, limit=9) == []


async def test_all_that_happened_is_one_order(process: Process, history: History) -> None:
    found = await history.of_all(limit=3)
    rest = await history.of_all(before=found[-1].revision, limit=9)

    assert [each.revision for each in [*found, *rest]] == [5, 4, 3, 2, 1]


async def test_every_version_is_there(process: Process, history: History) -> None:
    versions = [await history.version("flag", "f", number) for number in (1, 2, 3, 4)]

    assert [owner(each.edit.item) for each in versions] == ["first", "second", None, "third"]


@pytest.mark.parametrize("number", [0, 5, -1, 2**63, 2**200])
async def test_what_never_was_is_not_found(process: Process, history: History, number: int) -> None:
    with pytest.raises(NotFoundError):
        await history.version("flag", "f", number)
    with pytest.raises(NotFoundError):
        await history.version("flag", "none\0", 1)


async def test_an_item_is_told_as_it_was_at_any_revision(
    process: Process, history: History
) -> None:
    changes = [await history.at_revision("flag", "f", number) for number in (1, 2, 3, 4, 5, 99)]

    assert [owner(each.edit.item) for each in changes] == [
        *("first", "first", "second", None, "third", "third")
    ]
    with pytest.raises(NotFoundError):
        await history.at_revision("flag", "other", 1)


async def test_a_flag_goes_back_to_a_version_of_before_its_deletion(
    process: Process, history: History
) -> None:
    old = await history.version("flag", "f", 2)

    await process.editor.edit(revert("flag", "f", old.edit.item, old.version), ANN)

    assert owner(process.live.world.flags["f"].item) == "second"
    assert [each.version for each in await history.of_item("flag", "f", limit=1)] == [5]
