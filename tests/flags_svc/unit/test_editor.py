"""The editor over a configuration that is away, slow, or further than the world."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from flags_svc.domain.world import Change, GapError, World
from flags_svc.editor import LiveEditor
from tests.flags_svc.memory import MemoryConfiguration
from tests.flags_svc.replicas import ANN, Announced, PlainLive, Process, a_flag, an_edit, put
from windsock_kit.errors import UnavailableError


class Stalled(MemoryConfiguration):
    """Answers no commit until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.let_go = asyncio.Event()

    async def commit(self, *args: Any, **given: Any) -> Sequence[Change]:
        """Wait."""
        self.asked.set()
        await self.let_go.wait()
        return await super().commit(*args, **given)


class Gapped(PlainLive):
    """A world that cannot take what was committed."""

    def apply(self, epoch: str, changes: Sequence[Change]) -> None:
        """Refuse."""
        raise GapError


async def test_who_waits_too_long_for_the_others_is_told_to_try_again() -> None:
    stalled = Stalled()
    editor = LiveEditor(
        stalled, PlainLive(stalled, stalled.world), Announced(), patience_seconds=0.01
    )
    first = asyncio.create_task(editor.edit(put(a_flag("f")), ANN))
    await stalled.asked.wait()

    with pytest.raises(UnavailableError):
        await editor.edit(put(a_flag("g")), ANN)
    stalled.let_go.set()

    assert [change.edit.key for change in await first] == ["f"]
    assert [change.edit.key for change in await editor.edit(put(a_flag("g")), ANN)] == ["g"]


async def test_without_a_configuration_nothing_is_changed_and_nothing_told() -> None:
    configuration = MemoryConfiguration()
    process = Process(configuration, configuration.world)
    configuration.away = True

    with pytest.raises(UnavailableError):
        await process.editor.edit(put(a_flag("f")), ANN)

    assert (process.live.world, process.announced.revisions) == (World("e1"), [])


async def test_who_is_behind_catches_up_and_decides_anew() -> None:
    configuration = MemoryConfiguration()
    process = Process(configuration, configuration.world)
    configuration.put(an_edit(a_flag("g")))

    changes = await process.editor.edit(put(a_flag("f")), ANN)

    assert [change.revision for change in changes] == [2]
    assert list(process.live.world.flags) == ["g", "f"]


async def test_a_commit_that_does_not_follow_on_the_world_stays_and_is_told() -> None:
    configuration = MemoryConfiguration()
    live, announced = Gapped(configuration, configuration.world), Announced()

    changes = await LiveEditor(configuration, live, announced).edit(put(a_flag("f")), ANN)

    assert live.world == configuration.world
    assert announced.revisions == [1] == [change.revision for change in changes]
