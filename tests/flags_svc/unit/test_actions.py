"""What people can do to a flag in one environment, and what its schedule does."""

from __future__ import annotations

from typing import Any

import pytest

from flags_svc.domain import actions
from flags_svc.domain.flag import Step
from flags_svc.domain.rollout import Stage, stages_of, warnings_of
from flags_svc.domain.schedule import due, next_at
from flags_svc.domain.stepping import schedule_document, schedule_of
from tests.flags_svc.worlds import after, flag, in_environment, rolled, world
from windsock.flags.definition import Rollout, Split
from windsock_kit.errors import ConflictError, InvalidError, NotFoundError

NOW = 1_000_000.0
STAGES = (Stage(1_000, 60.0), Stage(5_000, 30.0), Stage(100_000))
TO_COME = [{"at": "2030-01-01T00:00:00Z", "enabled": False}]


def test_a_flag_is_enabled_and_disabled_in_one_environment() -> None:
    before = world(flag())

    found = after(before, actions.enable("new", "staging"))

    assert [*found.flags["new"].item.environments] == ["staging"]
    assert in_environment(found, environment="staging").enabled
    assert actions.enable("new", "staging")(found) == []
    found = after(found, actions.disable("new", "staging"))
    assert not in_environment(found, environment="staging").enabled


def test_environments_stand_in_one_order() -> None:
    found = after(world(rolled(environment="staging")), actions.enable("new", "production"))

    assert [*found.flags["new"].item.environments] == ["production", "staging"]


@pytest.mark.parametrize("name", ["enable", "disable", "rollout"])
def test_a_hand_on_a_flag_ends_what_it_was_to_do_later(name: str) -> None:
    before = world(rolled(enabled=name == "disable", schedule=TO_COME))
    decide = {
        "enable": actions.enable("new", "production"),
        "disable": actions.disable("new", "production"),
        "rollout": actions.rollout("new", "production", 5),
    }[name]

    assert in_environment(after(before, decide)).schedule == ()


def test_an_unknown_environment_is_told_with_the_known() -> None:
    with pytest.raises(NotFoundError) as refused:
        actions.enable("new", "moon")(world(flag()))

    assert refused.value.allowed == ["production", "staging"]


def test_an_archived_flag_is_left_alone() -> None:
    with pytest.raises(ConflictError, match="archived"):
        actions.enable("new", "production")(world(flag(archived=True)))


@pytest.mark.parametrize(
    ("present", "serve", "expected"),
    [
        (None, None, Rollout(25_000, "on")),
        (None, "off", Rollout(25_000, "off")),
        ({"variant": "off"}, None, Rollout(25_000, "on")),
        ({"variant": "third"}, None, Rollout(25_000, "on", "third")),
        ({"variant": "third"}, "third", Rollout(25_000, "third")),
        ({"split": {"on": 1, "off": 1}}, None, Rollout(25_000, "on")),
        ({"split": {"on": 1, "off": 1}}, "on", Rollout(25_000, "on")),
        (
            {"rollout": {"percentage": 1, "variant": "third", "otherwise": "on"}},
            None,
            Rollout(25_000, "third", "on"),
        ),
        (
            {"rollout": {"percentage": 1, "variant": "third", "otherwise": "on"}},
            Split({"on": 1}),
            Rollout(25_000, Split({"on": 1}), "on"),
        ),
    ],
    ids=[
        *("default", "given", "off now", "third now", "third given"),
        *("split", "from split", "rollout", "from rollout"),
    ],
)
def test_what_is_rolled_out_goes_by_what_there_is(
    present: object, serve: Any, expected: Rollout
) -> None:
    before = world(
        rolled(fallthrough=present)
        if present is None or "third" not in str(present)
        else flag(
            variants={"on": True, "off": False, "third": True},
            environments={"production": {"enabled": True, "fallthrough": present}},
        )
    )

    found = after(before, actions.rollout("new", "production", 25_000, serve=serve))

    assert in_environment(found).fallthrough == expected


def test_a_share_of_a_flag_with_many_variants_is_split_as_all_users_were() -> None:
    split = {"split": {"small": 1, "large": 1}}
    before = flag(
        type="string",
        variants={"small": "s", "large": "l"},
        default_variant="small",
        off_variant="small",
        environments={"production": {"enabled": True, "fallthrough": split}},
    )

    found = after(world(before), actions.rollout("new", "production", 25_000))

    assert in_environment(found).fallthrough == Rollout(25_000, Split({"small": 1, "large": 1}))
    assert in_environment(found).enabled


def test_who_is_not_in_can_be_said() -> None:
    found = after(world(flag()), actions.rollout("new", "production", 5, otherwise="on"))

    assert in_environment(found).fallthrough == Rollout(5, "on", "on")


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"serve": "red"}, "variant"),
        ({"serve": Split({"on": 1, "red": 1})}, "variant"),
        ({"otherwise": "red"}, "otherwise"),
    ],
    ids=["variant", "split", "otherwise"],
)
def test_only_variants_of_the_flag_are_rolled_out(given: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidError) as refused:
        actions.rollout("new", "production", 5, **given)(world(flag()))

    assert refused.value.path == path
    assert refused.value.allowed == ["on", "off"]


def test_a_rollout_that_does_little_is_told() -> None:
    split = {"rollout": {"percentage": 25, "split": {"on": 1, "off": 1}}}
    everybody = {"rollout": {"percentage": 100, "variant": "on"}}
    both = {"rollout": {"percentage": 5, "variant": "off"}}
    targets = [{"variant": "off", "keys": ["ann"]}]

    assert warnings_of(rolled(), "production") == []
    assert warnings_of(rolled(fallthrough=everybody), "production") == []
    assert warnings_of(rolled(fallthrough=everybody, targets=targets), "production") == [
        "targets and rules go before it: some may get something else"
    ]
    assert warnings_of(rolled(fallthrough=both), "production") == [
        "who is in and who is not both get 'off'"
    ]
    assert warnings_of(rolled(enabled=False, fallthrough=split), "production") == [
        "new is disabled in production: everybody gets 'off' until it is enabled",
        "the share is split: of all users, 12.5 % 'on', 12.5 % 'off'",
    ]


def test_a_schedule_that_enabling_would_end_is_told() -> None:
    half = {"rollout": {"percentage": 50, "variant": "on"}}
    found = rolled(enabled=False, fallthrough=half, schedule=TO_COME)

    assert warnings_of(found, "production")[1:] == [
        "to enable it by hand ends the schedule: enable it, and roll out again"
    ]
    assert warnings_of(flag(environments={"production": {}}), "production") == []


def test_a_progressive_rollout_begins_at_once() -> None:
    found = after(
        world(rolled()), actions.progressive_rollout("new", "production", STAGES, now=NOW)
    )

    assert in_environment(found).fallthrough == Rollout(1_000, "on")
    assert in_environment(found).schedule == (
        Step(at=NOW, percentage=1_000, done_at=NOW),
        Step(after_seconds=60.0, percentage=5_000),
        Step(after_seconds=30.0, percentage=100_000),
    )


def test_a_progressive_rollout_goes_on_by_the_clock() -> None:
    found = after(
        world(rolled()), actions.progressive_rollout("new", "production", STAGES, now=NOW)
    )

    assert next_at(found) == NOW + 60
    assert due(NOW + 59.9)(found) == []
    found = after(found, due(NOW + 61))
    assert in_environment(found).fallthrough == Rollout(5_000, "on")
    # The stage lasts as long as it was to, though it began late.
    assert next_at(found) == NOW + 91
    found = after(found, due(NOW + 91))
    assert in_environment(found).fallthrough == Rollout(100_000, "on")
    assert next_at(found) is None
    assert due(NOW + 1e6)(found) == []


def test_a_progressive_rollout_can_begin_later() -> None:
    decide = actions.progressive_rollout("new", "production", STAGES, now=NOW, at=NOW + 10)

    found = after(world(rolled()), decide)

    assert in_environment(found).fallthrough is None
    assert next_at(found) == NOW + 10
    assert in_environment(after(found, due(NOW + 10))).fallthrough == Rollout(1_000, "on")


@pytest.mark.parametrize(
    ("given", "path"), [({"serve": "on"}, "variant"), ({"otherwise": "on"}, "otherwise")]
)
def test_what_a_later_rollout_gives_cannot_be_said_now(given: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidError) as refused:
        actions.progressive_rollout("new", "production", STAGES, now=NOW, at=NOW + 10, **given)

    assert refused.value.path == path


@pytest.mark.parametrize(
    ("stages", "path"),
    [
        ([], "steps"),
        ([Stage(1), Stage(2)], "steps[0].for_seconds"),
        ([Stage(1, 5.0)], "steps[0].for_seconds"),
    ],
    ids=["none", "no end", "end"],
)
def test_only_the_last_stage_has_no_end(stages: list[Stage], path: str) -> None:
    with pytest.raises(InvalidError) as refused:
        stages_of(stages, at=NOW)

    assert refused.value.path == path


def test_all_steps_that_are_overdue_are_done_in_order() -> None:
    steps = (
        Step(at=NOW, enabled=True),
        Step(at=NOW + 1, percentage=5_000),
        Step(at=NOW + 2, enabled=False),
        Step(after_seconds=0.0, enabled=True),
        Step(after_seconds=5.0, enabled=False),
    )
    before = after(world(flag()), actions.schedule("new", "production", steps))

    found = after(before, due(NOW + 3))

    assert in_environment(found).enabled
    assert in_environment(found).fallthrough == Rollout(5_000, "on")
    assert [step.done_at for step in in_environment(found).schedule] == [NOW + 3] * 4 + [None]


def test_what_is_not_due_is_left_alone() -> None:
    steps = (Step(at=NOW, enabled=True),)
    before = after(world(flag(), rolled("other")), actions.schedule("new", "production", steps))
    before = after(before, actions.schedule("new", "staging", (Step(at=NOW + 9, enabled=True),)))

    (edit,) = due(NOW)(before)

    assert (edit.key, edit.action) == ("new", "schedule")
    found = after(before, due(NOW))
    assert in_environment(found).enabled
    assert not in_environment(found, environment="staging").enabled


def test_archived_flags_have_nothing_to_do() -> None:
    overdue = [{"at": "2001-01-01T00:00:00Z", "enabled": False}]
    archived = flag(archived=True, environments={"production": {"schedule": overdue}})

    assert next_at(world(archived)) is None
    assert due(2e9)(world(archived)) == []


def test_a_schedule_can_be_ended() -> None:
    before = world(rolled(schedule=TO_COME))

    found = after(before, actions.schedule("new", "production", ()))

    assert in_environment(found).schedule == ()


@pytest.mark.parametrize(
    ("steps", "path"),
    [
        ([{"after_seconds": 5, "enabled": True}], "s[0].at"),
        ([{"enabled": True}], "s[0]"),
        ([{"at": "2030-01-01T00:00:00Z", "after_seconds": 5, "enabled": True}], "s[0]"),
        ([{"at": "2030-01-01T00:00:00Z"}], "s[0]"),
        ([{"at": 5, "enabled": True}], "s[0].at"),
        ([{"at": "2030-01-01T00:00:00Z", "percentage": 0.0001}], "s[0].percentage"),
        ([{"at": "2030-01-01T00:00:00Z", "percentage": True}], "s[0].percentage"),
        ([*TO_COME, {"after_seconds": -1, "enabled": True}], "s[1].after_seconds"),
        ([*TO_COME, {"after_seconds": 1, "other": True}], "s[1].other"),
        (
            [*TO_COME, {"after_seconds": 1, "enabled": True, "done_at": "2030-01-01T00:00:00Z"}],
            "s[1].done_at",
        ),
        (TO_COME * 101, "s"),
        ({}, "s"),
    ],
    ids=[
        *("first", "no time", "two times", "nothing", "time", "share", "bool", "negative"),
        *("unknown", "order", "many", "no list"),
    ],
)
def test_a_wrong_schedule_is_refused(steps: Any, path: str) -> None:
    with pytest.raises(InvalidError) as refused:
        schedule_of(steps, "s")

    assert refused.value.path == path


def test_a_schedule_is_told_as_it_was_written() -> None:
    steps = [
        {"at": "2030-01-01T00:00:00Z", "percentage": 0.5, "done_at": "2030-01-01T00:00:01Z"},
        {"after_seconds": 60.0, "enabled": False, "percentage": 5},
    ]

    assert schedule_document(schedule_of(steps, "s")) == steps
    assert schedule_of([{**TO_COME[0], "after_seconds": None}], "s") == schedule_of(TO_COME, "s")
