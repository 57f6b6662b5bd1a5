"""How what is configured goes on from one revision to the next."""

from __future__ import annotations

import pytest

from flags_svc.domain.flag import Environment
from flags_svc.domain.world import Author, Change, Edit, GapError, World
from tests.flags_svc.worlds import flag, segment

ANN, BOB = Author("ann"), Author("bob")


def change(revision: int, version: int, edit: Edit, author: Author = ANN) -> Change:
    return Change(revision, version, 100.0 + revision, author, edit)


def test_an_item_keeps_when_it_was_made() -> None:
    found = World("e").after(
        [
            change(1, 1, Edit("flag", "new", flag(), "create")),
            change(2, 1, Edit("segment", "staff", segment(), "create")),
            change(3, 2, Edit("flag", "new", flag(owner="x"), "patch"), BOB),
        ]
    )

    stored = found.flags["new"]
    assert (stored.version, stored.revision, stored.updated_by) == (2, 3, "bob")
    assert (stored.created_at, stored.updated_at) == (101.0, 103.0)
    assert found.revision == 3
    assert [*found.segments] == ["staff"]


def test_what_is_deleted_is_gone_and_made_anew() -> None:
    made = World("e").after([change(1, 1, Edit("flag", "new", flag(), "create"))])
    deleted = made.after([change(2, 2, Edit("flag", "new", None, "delete"))])
    anew = deleted.after([change(3, 3, Edit("flag", "new", flag(), "create"))])

    assert deleted.flags == {}
    assert anew.flags["new"].created_at == 103.0
    assert [*made.flags] == ["new"]


def test_a_change_that_does_not_follow_is_refused() -> None:
    made = Edit("environment", "test", Environment("test"), "create")

    for revision in (0, 2):
        with pytest.raises(GapError):
            World("e").after([change(revision, 1, made)])
