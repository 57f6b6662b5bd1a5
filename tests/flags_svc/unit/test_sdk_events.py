from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flags_svc.domain.flag import InEnvironment
from flags_svc.domain.world import Edit
from flags_svc.live.event_id import EventId
from flags_svc.live.recent import REVISIONS
from flags_svc.live.replica import Replica
from flags_svc.live.sdk_events import SdkEvents
from tests.flags_svc.memory import PRODUCTION, MemoryConfiguration
from tests.flags_svc.replicas import a_deletion, a_flag, an_edit
from tests.flags_svc.streams import Event, events_of
from windsock.flags.definition import Segment

ON = {"production": InEnvironment(True)}


class Scene:
    """A replica of a configuration, and what its clients are sent."""

    def __init__(self) -> None:
        self.configuration = MemoryConfiguration()
        self.configuration.put(PRODUCTION, an_edit(a_flag("f")), an_edit(a_flag("g")))
        self.replica = Replica(self.configuration)
        self.replica.restore(self.configuration.world)
        self.events = SdkEvents(self.replica)

    def put(self, *edits: Edit) -> None:
        self.replica.apply("e1", self.configuration.put(*edits))

    def sent(self, last_event_id: str | None) -> Event:
        (event,) = events_of(self.events.beginning("production", last_event_id))
        return event


@pytest.fixture
def scene() -> Scene:
    return Scene()


def keys(items: list[dict[str, Any]]) -> list[str]:
    return [item["key"] for item in items]


@pytest.mark.parametrize("last_event_id", [None, "e0-7"])
def test_all_who_are_sent_everything_share_its_bytes(
    scene: Scene, last_event_id: str | None
) -> None:
    first = scene.events.beginning("production", last_event_id)

    assert scene.events.beginning("production", None) is first
    assert first.startswith(b"retry: ")


def test_nothing_is_kept_for_places_that_clients_make_up(scene: Scene) -> None:
    scene.events.beginning("production", None)
    kept = len(scene.events._kept)

    for number in range(100):
        scene.events.beginning("production", f"e1-{1_000 + number}")
        scene.events.beginning("production", f"other{number}-1")

    assert len(scene.events._kept) == kept


def test_who_comes_first_is_sent_everything(scene: Scene) -> None:
    event = scene.sent(None)

    assert (event.kind, event.id) == ("snapshot", "e1-3")
    assert event.data["epoch"] == "e1"
    assert event.data["revision"] == 3
    assert event.data["environment"] == "production"
    assert keys(event.data["flags"]) == ["f", "g"]
    assert event.data["segments"] == []


def test_who_has_everything_is_sent_a_heartbeat(scene: Scene) -> None:
    event = scene.sent("e1-3")

    assert (event.kind, event.id, event.data) == ("heartbeat", "e1-3", {"revision": 3})


def test_who_was_away_is_sent_what_it_missed_in_one(scene: Scene) -> None:
    scene.put(an_edit(a_flag("f", environments=ON)))
    scene.put(an_edit(a_flag("f")), a_deletion("g"))
    scene.put(Edit("segment", "s", Segment("s", frozenset({"ann"})), "create"))
    scene.put(an_edit(a_flag("h")), a_deletion("h"))

    event = scene.sent("e1-3")

    assert (event.kind, event.id) == ("change", "e1-9")
    assert (event.data["previous"], event.data["revision"]) == (3, 9)
    assert event.data["at"] == 1_009.0
    assert keys(event.data["flags"]) == ["f"]
    assert event.data["flags"][0].get("enabled") is False
    assert event.data["removed"] == ["g", "h"]
    assert keys(event.data["segments"]) == ["s"]
    assert event.data["removed_segments"] == []


def test_a_deleted_segment_is_told(scene: Scene) -> None:
    scene.put(Edit("segment", "s", Segment("s"), "create"))
    scene.put(Edit("segment", "s", None, "delete"))

    assert scene.sent("e1-4").data["removed_segments"] == ["s"]


@pytest.mark.parametrize(
    "last", ["e0-3", "e1-4", "e1-", "-3", "e1-x", "e1-²", "e1-" + "9" * 50, ""]
)
def test_who_says_something_unknown_is_sent_everything(scene: Scene, last: str) -> None:
    assert scene.sent(last).kind == "snapshot"


def test_who_was_away_for_long_is_sent_everything(scene: Scene) -> None:
    scene.put(*[an_edit(a_flag("f"))] * REVISIONS)
    still_known = scene.sent("e1-3").kind
    scene.put(an_edit(a_flag("f")))

    assert still_known == "change"
    assert scene.sent("e1-3").kind == "snapshot"


def test_an_environment_that_went_and_came_back_is_sent_anew(scene: Scene) -> None:
    scene.put(Edit("environment", "production", None, "delete"))
    scene.put(PRODUCTION)

    assert scene.sent("e1-3").kind == "snapshot"


def test_changes_elsewhere_are_told_too_so_that_nobody_sees_a_gap(scene: Scene) -> None:
    scene.put(Edit("environment", "staging", PRODUCTION.item, "create"))

    event = scene.sent("e1-3")

    assert (event.kind, event.data["flags"], event.data["removed"]) == ("change", [], [])
    assert (event.data["previous"], event.data["revision"]) == (3, 4)


def test_everybody_is_sent_the_same_bytes(scene: Scene) -> None:
    scene.put(an_edit(a_flag("f")))
    since = EventId("e1", 3)

    first = scene.events.news("production", since)

    assert scene.events.news("production", since) is first


def test_what_was_sent_before_is_not_sent_again(scene: Scene) -> None:
    before = scene.sent(None)
    scene.put(an_edit(a_flag("f", environments=ON)))

    assert before.data["flags"][0].get("enabled") is False
    assert scene.sent(None).data["flags"][0].get("enabled", True) is True


@given(st.text(max_size=50), st.integers(0, 10**18))
def test_an_id_is_read_as_it_was_written(epoch: str, revision: int) -> None:
    made = EventId(epoch, revision)

    assert EventId.read(str(made)) == (made if epoch else None)
