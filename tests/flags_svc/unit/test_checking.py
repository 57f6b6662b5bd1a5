"""What leaves everything whole, and where it does not."""

from __future__ import annotations

from typing import Any

import pytest

from flags_svc.domain import actions, decisions
from flags_svc.domain.flag import ManagedFlag
from flags_svc.domain.world import World
from tests.flags_svc.worlds import after, flag, rolled, segment, world
from windsock_kit.errors import InvalidError

TWO = [{"variant": "off", "keys": ["ann", "bob"]}, {"variant": "on", "keys": ["cid", "bob"]}]
ONE = [{"variant": "off", "keys": ["ann", "bob"]}, {"variant": "off", "keys": ["bob"]}]


def kept() -> tuple[World, ManagedFlag]:
    """Return a world with a flag from before two variants for one user were refused."""
    found = rolled(targets=TWO)
    return world(found), found


def test_nobody_is_promised_two_variants() -> None:
    with pytest.raises(InvalidError, match="'bob' is in targets") as refused:
        decisions.create(rolled(targets=TWO))(world())

    assert refused.value.path == "environments.production.targets[1].keys"


def test_to_be_promised_the_same_twice_is_no_harm() -> None:
    made = rolled(targets=ONE)

    assert after(world(), decisions.create(made)).flags["new"].item == made


def test_elsewhere_it_is_another_promise() -> None:
    made = flag(environments={"production": {"targets": TWO[:1]}, "staging": {"targets": TWO[1:]}})

    assert "new" in after(world(), decisions.create(made)).flags


def test_what_was_kept_before_can_be_switched_off_and_changed_elsewhere() -> None:
    before, _ = kept()

    off = after(before, actions.disable("new", "production"))
    owned = after(off, decisions.patch("flag", "new", {"owner": "ann"}))

    assert owned.flags["new"].item.owner == "ann"
    assert not owned.flags["new"].item.environments["production"].enabled


def test_what_was_kept_before_is_put_right_when_its_targets_are_touched() -> None:
    before, _ = kept()
    more = {"environments": {"production": {"targets": [*TWO, {"variant": "on", "keys": ["eve"]}]}}}

    with pytest.raises(InvalidError):
        decisions.patch("flag", "new", more)(before)


@pytest.mark.parametrize(
    ("when", "path"),
    [
        ({"segment": "nobody"}, "when.segment"),
        ({"not": {"segment": "nobody"}}, "when.not.segment"),
        (
            {"all": [{"segment": "staff"}, {"any": [{"segment": "staff"}, {"segment": "nobody"}]}]},
            "when.all[1].any[1].segment",
        ),
        (
            {"any": [{"attribute": "a", "operator": "exists"}, {"segment": "nobody"}]},
            "when.any[1].segment",
        ),
    ],
)
def test_an_unknown_segment_is_told_with_its_place(when: dict[str, Any], path: str) -> None:
    serve = {"variant": "on"}
    rules = [{"when": {"segment": "staff"}, "serve": serve}, {"when": when, "serve": serve}]

    with pytest.raises(InvalidError, match="there is no segment nobody") as of_flag:
        decisions.create(rolled(rules=rules))(world(segment()))
    with pytest.raises(InvalidError, match="there is no segment nobody") as of_segment:
        decisions.create(segment("other", when=when))(world(segment()))

    assert of_flag.value.path == f"environments.production.rules[1].{path}"
    assert of_segment.value.path == path
