from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from flags_svc.domain.world import Edit
from flags_svc.instruments import Instruments
from flags_svc.live import hub as hubs
from flags_svc.live.hub import Hub, Subscription
from flags_svc.live.replica import Replica
from flags_svc.live.sdk_events import SdkEvents
from tests.flags_svc.memory import PRODUCTION, MemoryConfiguration
from tests.flags_svc.replicas import a_flag, an_edit
from tests.flags_svc.streams import Event, events_of
from windsock_kit.errors import NotFoundError, UnavailableError


class Scene:
    """A hub that takes two."""

    def __init__(self) -> None:
        self.configuration = MemoryConfiguration()
        self.configuration.put(PRODUCTION, an_edit(a_flag("f")))
        self.replica = Replica(self.configuration)
        self.replica.restore(self.configuration.world)
        self.events = SdkEvents(self.replica)
        self.hub = Hub(self.replica, Instruments(CollectorRegistry()), limit=2)

    def put(self, *edits: Edit) -> None:
        self.replica.apply("e1", self.configuration.put(*edits))

    def subscribe(self) -> Subscription:
        return self.hub.subscribe("production", None, self.events)


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def taken(subscription: Subscription) -> Event:
    async with asyncio.timeout(20):
        (event,) = events_of(await subscription.next())
    return event


async def test_everybody_is_sent_each_change(scene: Scene) -> None:
    both = [scene.subscribe(), scene.subscribe()]
    first = [await taken(each) for each in both]
    waiting = [asyncio.create_task(taken(each)) for each in both]
    await asyncio.sleep(0)

    scene.put(an_edit(a_flag("g")))

    assert [event.id for event in first] == ["e1-2", "e1-2"]
    assert [(await each).id for each in waiting] == ["e1-3", "e1-3"]


async def test_who_is_slow_is_sent_one_change_for_many(scene: Scene) -> None:
    slow = scene.subscribe()
    await taken(slow)

    for _ in range(100):
        scene.put(an_edit(a_flag("g")))
    event = await taken(slow)

    assert (event.data["previous"], event.data["revision"]) == (2, 102)


async def test_what_changes_before_the_first_is_taken_comes_after_it(scene: Scene) -> None:
    subscription = scene.subscribe()
    scene.put(an_edit(a_flag("g")))

    assert [(await taken(subscription)).id for _ in range(2)] == ["e1-2", "e1-3"]


async def test_who_is_quiet_hears_a_heartbeat(scene: Scene) -> None:
    subscription = scene.subscribe()
    await taken(subscription)
    waiting = asyncio.create_task(taken(subscription))
    await asyncio.sleep(0)

    await scene.hub.beat()

    assert (await waiting).kind == "heartbeat"


async def test_a_change_is_heartbeat_enough(scene: Scene) -> None:
    subscription = scene.subscribe()
    await taken(subscription)
    await scene.hub.beat()
    scene.put(an_edit(a_flag("g")))
    kinds = [(await taken(subscription)).kind]
    waiting = asyncio.create_task(taken(subscription))
    await asyncio.sleep(0)
    scene.put(an_edit(a_flag("g")))
    kinds.append((await waiting).kind)

    assert kinds == ["change", "change"]


async def test_who_takes_nothing_for_long_is_cut_off(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut: list[str] = []
    stuck, well = scene.subscribe(), scene.subscribe()
    stuck.cut = lambda: cut.append("stuck")
    well.cut = lambda: cut.append("well")
    await taken(stuck)
    await taken(well)
    waiting = asyncio.create_task(well.next())
    await asyncio.sleep(0)
    monkeypatch.setattr(hubs, "PATIENCE_SECONDS", -1.0)

    await scene.hub.beat()

    assert cut == ["stuck"]
    assert stuck.over
    assert events_of(await waiting)[0].kind == "heartbeat"


async def test_those_who_are_cut_off_at_once_are_told_in_one_line(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in (scene.subscribe(), scene.subscribe()):
        await taken(each)
    monkeypatch.setattr(hubs, "PATIENCE_SECONDS", -1.0)

    with capture_logs() as logs:
        await scene.hub.beat()

    (told,) = logs
    assert (told["event"], told["count"]) == ("subscribers_cut_off", 2)
    assert told["environments"] == {"production": 2}


async def test_no_more_than_the_limit_are_taken_in(scene: Scene) -> None:
    both = [scene.subscribe(), scene.subscribe()]

    with pytest.raises(UnavailableError) as refused:
        scene.subscribe()
    scene.hub.leave(both[0])

    assert refused.value.retry_after is not None
    assert (await taken(scene.subscribe())).kind == "snapshot"


async def test_an_unknown_environment_is_refused_with_those_there_are(scene: Scene) -> None:
    with pytest.raises(NotFoundError) as refused:
        scene.hub.subscribe("nowhere", None, scene.events)

    assert refused.value.allowed == ["production"]
    assert len(scene.hub) == 0


async def test_a_deleted_environment_ends_its_streams(scene: Scene) -> None:
    subscription = scene.subscribe()
    await taken(subscription)
    waiting = asyncio.create_task(subscription.next())
    await asyncio.sleep(0)

    scene.put(Edit("environment", "production", None, "delete"))

    assert await waiting == b""


async def test_another_database_sends_everything_anew(scene: Scene) -> None:
    subscription = scene.subscribe()
    await taken(subscription)
    other = MemoryConfiguration("e2")
    other.put(PRODUCTION)
    scene.replica._configuration = other

    await scene.replica.catch_up()
    event = await taken(subscription)

    assert (event.kind, event.id) == ("snapshot", "e2-1")
