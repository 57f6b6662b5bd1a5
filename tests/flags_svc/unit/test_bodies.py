"""The bodies of actions, and changes as they travel."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from flags_svc.domain import decisions
from flags_svc.domain.flag import Step
from flags_svc.domain.rollout import Stage
from flags_svc.wire.bodies import RolloutWish, planned_of, rollout_of
from flags_svc.wire.changes import change_document, change_of
from tests.flags_svc.worlds import after, changes, flag, in_environment, world
from windsock.flags.definition import Rollout, Split
from windsock_kit.errors import InvalidError

STEPS = [{"percentage": 1, "for_seconds": 60}, {"percentage": 100}]
AT = "1970-01-13T00:00:00Z"


def test_a_share_is_read() -> None:
    assert rollout_of({"percentage": 25, "environment": "staging"}) == RolloutWish(
        "staging", 25_000
    )
    assert rollout_of({"percentage": 0.001, "variant": "on", "otherwise": "off"}) == RolloutWish(
        None, 1, serve="on", otherwise="off"
    )
    assert rollout_of({"percentage": 5, "split": {"on": 1}}).serve == Split({"on": 1})


def test_stages_are_read() -> None:
    found = rollout_of({"steps": STEPS, "at": "2030-01-01T00:00:00Z"})

    assert found.stages == (Stage(1_000, 60.0), Stage(100_000))
    assert found.at == 1893456000.0


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ([], ""),
        ({}, "percentage"),
        ({"percentage": 5, "steps": STEPS}, "percentage"),
        ({"percentage": 101}, "percentage"),
        ({"percentage": -1}, "percentage"),
        ({"percentage": "5"}, "percentage"),
        ({"percentage": True}, "percentage"),
        ({"percentage": 0.0005}, "percentage"),
        ({"percentage": 5, "at": AT}, "at"),
        ({"percentage": 5, "variant": "on", "split": {"on": 1}}, "split"),
        ({"percentage": 5, "variant": 1}, "variant"),
        ({"percentage": 5, "split": {"on": 0}}, "split"),
        ({"percentage": 5, "split": []}, "split"),
        ({"percentage": 5, "environment": 1}, "environment"),
        ({"percentage": 5, "speed": 1}, "speed"),
        ({"steps": []}, "steps"),
        ({"steps": [{"for_seconds": 5}]}, "steps[0].percentage"),
        ({"steps": [{"percentage": 5, "for_seconds": -1}]}, "steps[0].for_seconds"),
        ({"steps": [5]}, "steps[0]"),
        ({"steps": STEPS, "at": "soon"}, "at"),
    ],
    ids=str,
)
def test_a_wrong_rollout_is_refused(body: Any, path: str) -> None:
    with pytest.raises(InvalidError) as refused:
        rollout_of(body)

    assert refused.value.path == path


def test_a_wish_becomes_a_decision() -> None:
    share = rollout_of({"percentage": 25}).decide("new", "production", now=5.0)
    stages = rollout_of({"steps": STEPS}).decide("new", "production", now=5.0, expected=1)

    assert in_environment(after(world(flag()), share)).fallthrough == Rollout(25_000, "on")
    found = in_environment(after(world(flag()), stages))
    assert found.fallthrough == Rollout(1_000, "on")
    assert found.schedule[0].done_at == 5.0


def test_a_schedule_is_read() -> None:
    assert planned_of({"environment": "staging", "steps": [{"at": AT, "enabled": True}]}) == (
        "staging",
        (Step(at=12 * 86_400.0, enabled=True),),
    )
    assert planned_of({}) == (None, ())


def test_a_step_that_was_done_cannot_be_planned() -> None:
    with pytest.raises(InvalidError) as refused:
        planned_of({"steps": [{"at": AT, "enabled": True, "done_at": AT}]})

    assert refused.value.path == "steps[0].done_at"


def test_a_deletion_travels_as_json() -> None:
    (change,) = changes(world(flag()), decisions.delete("flag", "new"))

    assert change_of(orjson.loads(orjson.dumps(change_document(change)))) == change


def test_a_change_of_what_there_is_not_is_refused() -> None:
    (change,) = changes(world(flag()), decisions.delete("flag", "new"))

    with pytest.raises(InvalidError):
        change_of({**change_document(change), "kind": "rule"})
