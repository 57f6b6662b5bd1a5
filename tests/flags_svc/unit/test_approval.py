"""Which changes others must agree to."""

from __future__ import annotations

from typing import Any

import pytest

from flags_svc.domain import actions, decisions
from flags_svc.domain.approval import needs_approval
from flags_svc.domain.bulk import import_items, items_of
from flags_svc.domain.flag import Environment, Step
from flags_svc.domain.world import World
from tests.flags_svc.worlds import by_segment, flag, rolled, segment, world

PROTECTED = {"production": 2}
LATER = [{"at": "2030-01-01T00:00:00Z", "enabled": True}]


def guarded(*items: Any) -> World:
    return world(*items, protected=PROTECTED)


@pytest.mark.parametrize(
    "decide",
    [
        actions.rollout("new", "production", 5),
        actions.archive("new"),
        decisions.delete("flag", "new"),
        decisions.patch("flag", "new", {"variants": {"third": True}}),
        decisions.patch("flag", "new", {"off_variant": "on"}),
        decisions.patch("flag", "new", {"salt": "other"}),
        decisions.patch("flag", "new", {"environments": {"production": {"schedule": LATER}}}),
        decisions.patch("flag", "new", {"environments": {"production": None}}),
        decisions.patch("segment", "inner", {"included": ["ann"]}),
        decisions.patch("environment", "production", {"approvals": 1}),
        decisions.create(rolled("other")),
        decisions.create(flag("other", environments={"production": {"schedule": LATER}})),
        decisions.create(flag("other", off_variant="on")),
        decisions.create(
            flag("other", type="string", variants={"a": "A"}, default_variant="a", off_variant="a")
        ),
    ],
    ids=[
        *("rollout", "archive", "delete", "variant", "off", "salt", "schedule", "environment"),
        *("segment", "protection", "new", "new scheduled"),
        *("new off", "new text"),
    ],
)
def test_what_changes_a_protected_environment_needs_others(decide: Any) -> None:
    before = guarded(
        segment("inner"),
        segment("outer", when={"segment": "inner"}),
        rolled(rules=[by_segment("outer")]),
    )

    assert needs_approval(before, decide(before)) == PROTECTED


@pytest.mark.parametrize(
    "decide",
    [
        actions.disable("new", "production"),
        actions.rollout("new", "staging", 5),
        decisions.patch("flag", "new", {"owner": "search", "tags": ["a"], "lifetime_days": 3}),
        decisions.patch("segment", "unused", {"included": ["ann"]}),
        decisions.patch("segment", "elsewhere", {"included": ["ann"]}),
        decisions.patch("environment", "production", {"approvals": 3}),
        decisions.patch("environment", "staging", {"approvals": 3}),
        decisions.delete("flag", "gone"),
        decisions.create(flag("other")),
    ],
    ids=[
        *("kill", "elsewhere", "about", "unused", "used elsewhere", "more", "other environment"),
        *("archived", "idle"),
    ],
)
def test_the_rest_needs_nobody(decide: Any) -> None:
    before = guarded(
        segment("unused"),
        segment("elsewhere"),
        rolled(),
        rolled("other-place", environment="staging", rules=[by_segment("elsewhere")]),
        flag(
            "gone",
            archived=True,
            environments={"production": {"rules": [by_segment("elsewhere")]}},
        ),
    )

    assert needs_approval(before, decide(before)) == {}


def test_a_protected_environment_is_not_deleted_by_one() -> None:
    before = world(Environment("spare", approvals=1))

    assert needs_approval(before, decisions.delete("environment", "spare")(before)) == {"spare": 1}


def test_a_flag_made_archived_needs_nobody() -> None:
    before = guarded()
    made = flag(archived=True, environments={"production": {"enabled": True}})

    assert needs_approval(before, decisions.create(made)(before)) == {}


@pytest.mark.parametrize(
    "decide",
    [
        decisions.patch(
            "flag",
            "new",
            {"environments": {"production": {"enabled": False}, "staging": {"enabled": True}}},
        ),
        decisions.replace(flag()),
        decisions.revert("flag", "new", flag(), 1),
        decisions.revert("flag", "gone", rolled("gone"), 1),
        decisions.revert("segment", "staff", segment(included=["eve"]), 1),
        actions.restore("gone"),
        actions.schedule("new", "production", [Step(at=9e9, percentage=5)]),
        actions.enable("needed", "production"),
        import_items(items_of({"flags": [{"key": "new", "type": "boolean"}]})),
        import_items(items_of({"segments": [{"key": "staff", "included": ["eve"]}]})),
        import_items(
            items_of(
                {
                    "environments": [{"name": "production", "approvals": 0}],
                    "flags": [{"key": "new", "type": "boolean"}],
                }
            )
        ),
    ],
    ids=[
        *("both at once", "replace", "revert", "revert deleted or archived", "revert segment"),
        *("restore", "schedule", "prerequisite", "import", "import segment", "import all"),
    ],
)
def test_there_is_no_way_around_the_others(decide: Any) -> None:
    before = guarded(
        segment(),
        flag("needed"),
        flag(
            prerequisites=[{"flag": "needed", "variants": ["on"]}],
            environments={"production": {"enabled": True, "rules": [by_segment("staff")]}},
        ),
        flag("gone", archived=True, environments={"production": {"enabled": True}}),
    )

    assert needs_approval(before, decide(before)) == PROTECTED
