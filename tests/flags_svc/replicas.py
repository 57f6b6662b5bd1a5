"""A process of the service as far as writing needs one: the real store and editor around the simplest ``Live``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flags_svc.domain.flag import InEnvironment, ManagedFlag
from flags_svc.domain.world import Author, Change, Edit, World
from flags_svc.editor import LiveEditor
from flags_svc.ports import Configuration, Decide
from flags_svc.store.configuration import PostgresConfiguration

ANN = Author("ann", "because")
_PLAIN: Mapping[str, Any] = {
    "type": "boolean",
    "variants": {"on": True, "off": False},
    "default_variant": "on",
    "off_variant": "off",
}


def a_flag(key: str, **given: Any) -> ManagedFlag:
    """Return a boolean flag."""
    return ManagedFlag(**{**_PLAIN, "key": key, **given})


def an_edit(flag: ManagedFlag, action: str = "create") -> Edit:
    """Return the wish that the flag becomes this one."""
    return Edit("flag", flag.key, flag, action)


def a_deletion(key: str) -> Edit:
    """Return the wish that the flag of that key goes."""
    return Edit("flag", key, None, "delete")


def wish(*edits: Edit) -> Decide:
    """Return a decision for these, whatever there is."""
    return lambda world: edits


def put(flag: ManagedFlag) -> Decide:
    """Return a decision for the flag, whatever there is."""
    return wish(an_edit(flag))


def enable(key: str) -> Decide:
    """Return a decision for the flag to be enabled in production."""

    def decide(world: World) -> Sequence[Edit]:
        held = world.flags[key].item
        if held.environments.get("production", InEnvironment()).enabled:
            return []
        return [an_edit(a_flag(key, environments={"production": InEnvironment(True)}), "enable")]

    return decide


class PlainLive:
    """A world, without anything made of it."""

    def __init__(self, configuration: Configuration, world: World) -> None:
        self._configuration = configuration
        self.world = world

    def apply(self, epoch: str, changes: Sequence[Change]) -> None:
        """Put changes in force."""
        self.world = self.world.after(changes)

    async def catch_up(self) -> None:
        """Read everything again."""
        self.world = await self._configuration.load()


class Announced:
    """Remembers what was announced."""

    def __init__(self) -> None:
        self.revisions: list[int] = []

    async def announce(self, epoch: str, changes: Sequence[Change]) -> None:
        """Take note of it."""
        self.revisions += [change.revision for change in changes]


class Process:
    """The parts of one process."""

    def __init__(self, configuration: Configuration, world: World) -> None:
        self.configuration = configuration
        self.live = PlainLive(configuration, world)
        self.announced = Announced()
        self.editor = LiveEditor(configuration, self.live, self.announced)


async def started(pool: Any) -> Process:
    """Return a process that has read the world."""
    configuration = PostgresConfiguration(pool)
    return Process(configuration, await configuration.load())
