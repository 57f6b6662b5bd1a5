"""The warning that the default environment is not there."""

from __future__ import annotations

from structlog.testing import capture_logs

from flags_svc.domain.flag import Environment
from flags_svc.domain.world import Edit
from flags_svc.live.default_environment import DefaultEnvironment
from flags_svc.live.replica import Replica
from tests.flags_svc.memory import PRODUCTION, MemoryConfiguration

STAGING = Edit("environment", "staging", Environment("staging"), "create")
GONE = Edit("environment", "production", None, "delete")


async def watched(*edits: Edit) -> tuple[Replica, MemoryConfiguration]:
    configuration = MemoryConfiguration()
    replica = Replica(configuration)
    replica.watchers.append(DefaultEnvironment(replica, "production").look)
    if edits:
        configuration.put(*edits)
    await replica.catch_up()
    return replica, configuration


async def test_what_is_not_there_at_the_start_is_told_once() -> None:
    with capture_logs() as told:
        replica, configuration = await watched(STAGING)
        replica.apply("e1", configuration.put(STAGING))

    (line,) = told
    assert line["event"] == "default_environment_missing"
    assert (line["environment"], line["known"]) == ("production", ["staging"])


async def test_what_goes_away_is_told_each_time() -> None:
    with capture_logs() as told:
        replica, configuration = await watched(STAGING, PRODUCTION)
        for edit in (GONE, STAGING, PRODUCTION, GONE):
            replica.apply("e1", configuration.put(edit))

    assert [each["event"] for each in told] == ["default_environment_missing"] * 2


async def test_before_the_first_flags_nothing_is_missing() -> None:
    with capture_logs() as told:
        await watched()

    assert told == []
