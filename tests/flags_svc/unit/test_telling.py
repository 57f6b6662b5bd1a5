"""What a change says to somebody who looks for the cause of an alert."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flags_svc.domain.flag import Environment, InEnvironment, Step
from flags_svc.domain.telling import MAX_DESCRIPTION, commits, telling, telling_of_many
from flags_svc.domain.world import Author, Change, Edit, Item, ItemKind
from tests.flags_svc.replicas import a_flag
from windsock.flags.definition import Rollout, Segment

OFF = InEnvironment(fallthrough=Rollout(5_000, "on"))
FLAG = a_flag("f", environments={"production": OFF, "staging": OFF})


def described(before: Item | None, after: Item | None, action: str, comment: str = "") -> str:
    change = Change(7, 2, 5.0, Author("ann", comment), Edit("flag", "f", after, action))
    return telling("e", change, before).description


def test_a_change_has_the_id_of_its_event() -> None:
    change = Change(7, 1, 5.0, Author("ann"), Edit("flag", "f", FLAG, "create"))

    told = telling("0a", change, None)

    assert (told.id, told.kind, told.name) == ("0a-7", "flag", "f")
    assert (told.description, told.author, told.at) == ("create", "ann", 5.0)


@pytest.mark.parametrize(
    ("kind", "key", "item", "name"),
    [
        ("segment", "staff", Segment("staff"), "segment staff"),
        ("environment", "production", Environment("production"), "environment production"),
    ],
)
def test_what_is_no_flag_is_configuration(kind: ItemKind, key: str, item: Item, name: str) -> None:
    change = Change(7, 1, 5.0, Author("ann"), Edit(kind, key, item, "create"))

    told = telling("e", change, None)

    assert (told.kind, told.name) == ("config", name)


def test_what_is_different_now_is_said_with_its_place() -> None:
    after = replace(
        FLAG,
        environments={
            "production": replace(OFF, fallthrough=Rollout(25_000, "on")),
            "staging": OFF,
        },
    )

    assert described(FLAG, after, "rollout", "looks good") == (
        "rollout: production.fallthrough.rollout.percentage 5 → 25 (looks good)"
    )


def test_what_was_added_and_what_has_gone_is_said() -> None:
    after = replace(FLAG, environments={"production": OFF})

    assert described(FLAG, after, "replace") == "replace: staging is gone"
    assert described(after, FLAG, "replace").startswith('replace: staging is {"enabled":false,')


def test_what_a_schedule_has_done_is_not_said_beside_what_it_did() -> None:
    before = a_flag(
        "f", environments={"production": InEnvironment(schedule=(Step(at=1e9, enabled=True),))}
    )
    did = InEnvironment(True, schedule=(Step(at=1e9, enabled=True, done_at=1e9),))
    after = a_flag("f", environments={"production": did})

    assert described(before, after, "schedule") == "schedule: production.enabled false → true"


def test_a_deletion_says_that_alone() -> None:
    assert described(FLAG, None, "delete", "not needed") == "delete (not needed)"


def test_much_that_is_different_is_cut() -> None:
    after = a_flag(
        "f",
        type="string",
        variants={f"v{n}": "x" * 900 for n in range(9)},
        default_variant="v1",
        off_variant="v2",
        description="d" * 900,
        owner="o" * 100,
    )

    told = described(FLAG, after, "replace", "c" * 900)

    assert len(told) == MAX_DESCRIPTION
    assert "and " in told
    assert told.endswith("…")


def test_what_was_committed_together_belongs_together() -> None:
    edit = Edit("flag", "f", FLAG, "import")
    ann, bob = Author("ann"), Author("bob")
    changes = [
        *(Change(1, 1, 5.0, ann, edit), Change(2, 1, 5.0, ann, edit)),
        *(Change(3, 1, 5.0, bob, edit), Change(4, 1, 6.0, bob, edit)),
    ]

    found = [[change.revision for change in together] for together in commits(changes)]

    assert found == [[1, 2], [3], [4]]


def test_many_changes_of_segments_are_no_flags() -> None:
    changes = [
        Change(n, 1, 5.0, Author("ann"), Edit("segment", f"s{n}", Segment(f"s{n}"), "import"))
        for n in range(1, 20)
    ]

    told = telling_of_many("e", changes)

    assert (told.id, told.kind, told.name) == ("e-19", "config", "19 changes")
    assert told.description == (
        "import: segment s1, segment s2, segment s3, segment s4, segment s5 and 14 more"
    )
