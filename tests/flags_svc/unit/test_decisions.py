"""What people can do to items, decided on the newest world."""

from __future__ import annotations

from typing import Any

import pytest

from flags_svc.domain import actions, decisions
from flags_svc.domain.flag import Environment
from flags_svc.domain.stepping import schedule_of
from flags_svc.domain.world import World
from tests.flags_svc.worlds import (
    after,
    by_segment,
    changes,
    flag,
    in_environment,
    rolled,
    segment,
    world,
)
from windsock.flags.definition import Rollout, Split
from windsock_kit.errors import ConflictError, InvalidError, NotFoundError
from windsock_kit.preconditions import PreconditionFailedError

TO_COME = [{"at": "2030-01-01T00:00:00Z", "enabled": False}]
NEEDS_NEW = [{"flag": "new", "variants": ["on"]}]


def test_an_item_is_made_once() -> None:
    made = after(world(), decisions.create(flag()))

    assert made.flags["new"].item == flag()
    with pytest.raises(ConflictError, match="exists"):
        decisions.create(flag())(made)


def test_an_address_of_something_else_is_no_key() -> None:
    with pytest.raises(InvalidError) as refused:
        decisions.create(flag("stale"))(world())

    assert refused.value.path == "key"


def test_what_is_replaced_must_be_there() -> None:
    with pytest.raises(NotFoundError):
        decisions.replace(flag())(world())


def test_what_is_put_is_made_or_replaced() -> None:
    (made,) = decisions.put(flag())(world())
    (replaced,) = decisions.put(flag(owner="me"), 1)(world(flag()))

    assert (made.action, replaced.action) == ("create", "replace")
    assert decisions.put(flag())(world(flag())) == []


def test_what_is_put_may_have_to_be_there_or_not() -> None:
    with pytest.raises(PreconditionFailedError, match="there is no flag new"):
        decisions.put(flag(), must_be_there=True)(world())
    with pytest.raises(PreconditionFailedError, match="already"):
        decisions.put(flag(), unwanted=lambda version: version == 1)(world(flag()))


def test_to_replace_by_the_same_changes_nothing() -> None:
    assert decisions.replace(flag())(world(flag())) == []


def test_another_order_of_a_split_is_a_change() -> None:
    one = rolled(fallthrough={"split": {"on": 1, "off": 1}})
    other = rolled(fallthrough={"split": {"off": 1, "on": 1}})

    (edit,) = decisions.replace(other)(world(one))

    assert edit.action == "replace"


@pytest.mark.parametrize("kind", ["replace", "patch", "delete", "archive", "enable"])
def test_another_version_than_expected_is_refused(kind: str) -> None:
    wanted = flag(owner="search")
    decide = {
        "replace": decisions.replace(wanted, 2),
        "patch": decisions.patch("flag", "new", {"owner": "search"}, 2),
        "delete": decisions.delete("flag", "new", 2),
        "archive": actions.archive("new", 2),
        "enable": actions.enable("new", "production", 2),
    }[kind]
    first = world(flag())

    with pytest.raises(PreconditionFailedError):
        decide(first)
    assert len(decide(after(first, decisions.replace(flag(tags=["a"]))))) == 1


def test_a_patch_changes_what_it_names() -> None:
    before = world(flag(owner="search", tags=["a"], lifetime_days=9))

    found = after(before, decisions.patch("flag", "new", {"tags": ["b"], "owner": None}))

    assert found.flags["new"].item == flag(tags=["b"], lifetime_days=9)


def test_a_patched_lifetime_of_null_is_none() -> None:
    found = after(world(flag()), decisions.patch("flag", "new", {"lifetime_days": None}))

    assert found.flags["new"].item.lifetime_days is None


@pytest.mark.parametrize(
    ("present", "patch", "expected"),
    [
        ({"variant": "on"}, {"split": {"on": 1, "off": 2}}, Split({"on": 1, "off": 2})),
        ({"split": {"on": 1, "off": 2}}, {"split": {"on": 5}}, Split({"on": 5, "off": 2})),
        ({"split": {"on": 1, "off": 2}}, {"variant": "off"}, "off"),
        (
            {"rollout": {"percentage": 1, "variant": "on"}},
            {"rollout": {"percentage": 2}},
            Rollout(2_000, "on"),
        ),
        ({"variant": "on"}, None, None),
        (None, {"variant": "off"}, "off"),
    ],
    ids=["other form", "same form", "back", "share", "none", "first"],
)
def test_a_patched_fallthrough_takes_the_form_that_it_has(
    present: object, patch: object, expected: object
) -> None:
    changes = {"environments": {"production": {"fallthrough": patch}}}

    found = after(world(rolled(fallthrough=present)), decisions.patch("flag", "new", changes))

    assert in_environment(found).fallthrough == expected


def test_a_patch_takes_an_environment_out() -> None:
    patch: dict[str, Any] = {"environments": {"production": None, "staging": {"enabled": True}}}

    found = after(world(rolled()), decisions.patch("flag", "new", patch))

    assert [*found.flags["new"].item.environments] == ["staging"]


@pytest.mark.parametrize("changes", [{"environments": 5}, {"environments": {"production": 5}}])
def test_a_patch_that_makes_no_flag_is_refused(changes: object) -> None:
    with pytest.raises(InvalidError):
        decisions.patch("flag", "new", changes)(world(rolled()))


@pytest.mark.parametrize("changes", [None, [], "x"])
def test_a_patch_is_an_object(changes: object) -> None:
    with pytest.raises(InvalidError):
        decisions.patch("flag", "new", changes)


def test_segments_and_environments_are_changed_likewise() -> None:
    before = world(segment())

    found = after(before, decisions.patch("segment", "staff", {"included": ["ann"]}))
    found = after(found, decisions.patch("environment", "staging", {"approvals": 1}))
    found = after(found, decisions.replace(Environment("production", "x")))

    assert found.segments["staff"].item.included == {"ann"}
    assert found.environments["staging"].item.approvals == 1
    assert found.environments["production"].item.description == "x"


@pytest.mark.parametrize(
    ("kind", "key"), [("flag", "new"), ("segment", "staff"), ("environment", "spare")]
)
def test_what_nobody_uses_can_be_deleted(kind: Any, key: str) -> None:
    before = world(flag(), segment(), Environment("spare"))

    found = after(before, decisions.delete(kind, key))

    assert len(found.flags) + len(found.segments) + len(found.environments) == 4
    with pytest.raises(NotFoundError):
        decisions.delete(kind, key)(found)


@pytest.mark.parametrize(
    ("kind", "key", "users"),
    [
        ("flag", "new", ["flag user"]),
        ("segment", "staff", ["segment all", "flag new in production"]),
        ("environment", "production", ["flag new"]),
    ],
)
def test_what_is_used_cannot_be_deleted(kind: Any, key: str, users: list[str]) -> None:
    before = world(
        segment(),
        segment("all", when={"any": [{"segment": "staff"}]}),
        rolled(rules=[by_segment("staff")]),
        segment("apart"),
        rolled("other", environment="staging", rules=[by_segment("all")]),
        flag("user", prerequisites=[{"flag": "other", "variants": ["on"]}, *NEEDS_NEW]),
    )

    with pytest.raises(ConflictError, match=" is used by ") as refused:
        decisions.delete(kind, key)(before)

    assert refused.value.extra == {"used_by": users}


def test_many_users_are_not_all_named() -> None:
    users = [flag(f"user{n:02}", prerequisites=NEEDS_NEW) for n in range(12)]

    with pytest.raises(ConflictError, match=r"flag user09 and 2 more$"):
        decisions.delete("flag", "new")(world(flag(), *users))


def test_a_used_variant_cannot_be_taken_away() -> None:
    before = world(flag(), flag("user", prerequisites=NEEDS_NEW))
    other = flag(variants={"a": True, "off": False}, default_variant="a")

    with pytest.raises(ConflictError, match="variant on of flag new is used by flag user"):
        decisions.replace(other)(before)


def test_an_unused_variant_can_be_taken_away() -> None:
    other = flag(variants={"on": True}, off_variant="on")

    assert decisions.replace(other)(world(flag(), flag("user", prerequisites=NEEDS_NEW)))


def test_a_used_flag_cannot_be_archived() -> None:
    with pytest.raises(ConflictError, match="flag new is used by flag user"):
        actions.archive("new")(world(flag(), flag("user", prerequisites=NEEDS_NEW)))


def test_what_only_an_archived_flag_asks_for_can_be_archived_but_not_deleted() -> None:
    before = world(flag(), flag("user", prerequisites=NEEDS_NEW, archived=True))

    found = after(before, actions.archive("new"))

    assert found.flags["new"].item.archived
    with pytest.raises(ConflictError):
        decisions.delete("flag", "new")(found)
    with pytest.raises(InvalidError, match="only an archived flag new"):
        actions.restore("user")(found)


def test_an_archived_flag_does_nothing_later() -> None:
    found = after(world(rolled(schedule=TO_COME)), actions.archive("new"))

    assert in_environment(found).schedule == ()
    assert after(found, actions.restore("new")).flags["new"].item == rolled()


def test_a_flag_goes_back_to_what_it_was() -> None:
    first = world(rolled(schedule=TO_COME))
    then = after(first, actions.disable("new", "production"))

    found = after(then, decisions.revert("flag", "new", first.flags["new"].item, 1))

    assert found.flags["new"].item == rolled()
    assert found.flags["new"].version == 3


def test_a_deleted_flag_comes_back() -> None:
    found = after(world(), decisions.revert("flag", "new", flag(), 1))

    assert found.flags["new"].item == flag()


def test_a_reverted_segment_is_as_it_was() -> None:
    found = after(
        world(segment()), decisions.revert("segment", "staff", segment(included=["a"]), 1)
    )

    assert found.segments["staff"].item.included == {"a"}


def test_nothing_goes_back_to_where_it_was_deleted() -> None:
    with pytest.raises(ConflictError, match="deleted"):
        decisions.revert("flag", "new", None, 2)(world(flag()))


def test_to_revert_a_deleted_flag_at_a_version_is_refused() -> None:
    with pytest.raises(NotFoundError):
        decisions.revert("flag", "new", flag(), 1, expected=1)(world())


def test_a_revert_is_checked_like_any_change() -> None:
    with pytest.raises(InvalidError):
        decisions.revert("flag", "new", rolled(environment="gone"), 1)(world(flag()))


CYCLES: list[tuple[World, Any]] = [
    (world(), flag("a", prerequisites=[{"flag": "a", "variants": ["on"]}])),
    (
        world(flag("b"), flag("c", prerequisites=[{"flag": "b", "variants": ["on"]}])),
        flag("b", prerequisites=[{"flag": "c", "variants": ["on"]}]),
    ),
    (world(), segment("a", when={"segment": "a"})),
    (
        world(segment("b"), segment("c", when={"not": {"segment": "b"}})),
        segment("b", when={"segment": "c"}),
    ),
]


@pytest.mark.parametrize(("before", "item"), CYCLES, ids=["self", "two", "segment", "segments"])
def test_nothing_asks_for_itself(before: World, item: Any) -> None:
    make = decisions.create if item.key == "a" else decisions.replace

    with pytest.raises(InvalidError, match="cannot ask for itself: ") as refused:
        make(item)(before)

    assert refused.value.detail.endswith({"a": "a → a", "b": "b → c → b"}[item.key])


def test_who_only_leads_to_a_ring_of_others_is_let_through() -> None:
    before = world(segment("b"), segment("c", when={"segment": "b"}))

    assert decisions.create(segment("a", when={"all": [{"segment": "c"}, {"segment": "b"}]}))(
        before
    )


@pytest.mark.parametrize(
    ("item", "path"),
    [
        (rolled(environment="gone"), "environments.gone"),
        (rolled(rules=[by_segment("gone")]), "environments.production.rules[0].when.segment"),
        (flag(prerequisites=[{"flag": "gone", "variants": ["on"]}]), "prerequisites[0].flag"),
        (flag(prerequisites=[{"flag": "b", "variants": ["red"]}]), "prerequisites[0].variants"),
        (segment(when={"segment": "gone"}), "when.segment"),
    ],
    ids=["environment", "segment", "flag", "variant", "nested"],
)
def test_what_is_asked_for_must_be_there(item: Any, path: str) -> None:
    with pytest.raises(InvalidError) as refused:
        decisions.create(item)(world(flag("b")))

    assert refused.value.path == path


def test_there_is_room_for_so_many_environments() -> None:
    many = world(*(Environment(f"e{n}") for n in range(48)))

    with pytest.raises(ConflictError, match="more than 50"):
        decisions.create(Environment("one-more"))(many)
    assert decisions.replace(Environment("e1", "x"))(many)
    assert decisions.delete("environment", "e1")(many)


def test_an_edit_says_what_people_did() -> None:
    before = world(flag())
    did = [
        decisions.delete("flag", "new"),
        decisions.patch("flag", "new", {"owner": "x"}),
        actions.archive("new"),
        actions.enable("new", "production"),
        actions.rollout("new", "production", 5),
        actions.schedule("new", "production", schedule_of(TO_COME, "steps")),
    ]

    assert [changes(before, each)[0].edit.action for each in did] == [
        *("delete", "patch", "archive", "enable", "rollout", "schedule")
    ]
