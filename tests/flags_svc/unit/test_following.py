from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from flags_svc.instruments import Instruments
from flags_svc.live import following, messages
from flags_svc.live.following import Following
from flags_svc.live.replica import Replica
from tests.flags_svc.memory import PRODUCTION, MemoryConfiguration
from tests.flags_svc.replicas import a_flag, an_edit

FLAG = an_edit(a_flag("f"))


class Scene:
    """A replica that is up to date, and what keeps it so."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.configuration = MemoryConfiguration()
        self.configuration.put(PRODUCTION)
        self.replica = Replica(self.configuration)
        self.replica.restore(self.configuration.world)
        self.following = Following(
            self.replica, Instruments(self.registry), interval=600.0, registry=self.registry
        )
        self.wakes = 0
        self.following.loop.wake = self._woken  # type: ignore[method-assign]

    def _woken(self) -> None:
        self.wakes += 1

    def count(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    async def looks(self) -> bool:
        """Return whether the database is to be asked, once what waits for a moment has waited."""
        for _ in range(3):
            await asyncio.sleep(0)
        return self.wakes == 1


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(following, "GRACE_SECONDS", 0.0)
    return Scene()


async def test_what_nobody_heard_of_is_found_by_looking(scene: Scene) -> None:
    scene.configuration.put(FLAG)

    await scene.following.tick()

    assert scene.replica.revision == 2
    assert scene.count("flags_reconciliations_total", outcome="done") == 1


async def test_an_absence_is_told_once_and_its_end_too(scene: Scene) -> None:
    with capture_logs() as logs:
        scene.configuration.away = True
        await scene.following.tick()
        await scene.following.tick()
        scene.configuration.away = False
        await scene.following.tick()

    assert [log["event"] for log in logs] == ["database_away", "database_back"]
    assert scene.count("flags_reconciliations_total", outcome="away") == 2


async def test_a_message_that_follows_is_applied(scene: Scene) -> None:
    scene.following.told(messages.write("e1", scene.configuration.put(FLAG)))

    assert scene.replica.revision == 2
    assert scene.count("flags_gaps_total") == 0


@pytest.mark.parametrize("what", ["a gap", "another epoch", "nothing that can be read"])
async def test_what_cannot_be_applied_is_looked_up(scene: Scene, what: str) -> None:
    scene.configuration.put(FLAG)
    later = scene.configuration.put(FLAG)
    told = {
        "a gap": messages.write("e1", later),
        "another epoch": messages.write("e2", later),
        "nothing that can be read": b"?",
    }

    scene.following.told(told[what])

    assert scene.replica.revision == 1
    assert scene.count("flags_gaps_total") == 1
    assert await scene.looks()


@pytest.mark.parametrize(
    ("payload", "looks"),
    [("e1 1", False), ("e1 2", True), ("e2 1", True), ("", True), ("e1 x", True)],
)
async def test_only_news_has_the_database_asked(scene: Scene, payload: str, looks: bool) -> None:
    scene.following.notified(payload)

    assert await scene.looks() is looks


async def test_what_redis_tells_meanwhile_need_not_be_asked_for(scene: Scene) -> None:
    scene.following.notified("e1 2")
    scene.following.told(messages.write("e1", scene.configuration.put(FLAG)))

    assert not await scene.looks()
