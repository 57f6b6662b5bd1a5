"""Changes that wait for others to agree."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flags_svc.domain import actions, decisions
from flags_svc.domain.change_request import (
    ChangeRequest,
    StaleRequestError,
    Status,
    Vote,
    check_may_agree,
    check_open,
    edits_of,
    wanted,
)
from flags_svc.domain.flag import Environment
from tests.flags_svc.worlds import ANN, after, flag, segment, world
from windsock_kit.errors import ConflictError

BEFORE = world(flag(), segment())
ASKED = actions.enable("new", "production")(BEFORE)
REQUEST = ChangeRequest("r", ANN, 2, wanted(BEFORE, ASKED), 100.0)


def vote(name: str, *, agrees: bool = True) -> Vote:
    return Vote(name, agrees, "", 5.0)


@pytest.mark.parametrize(
    ("votes", "enough"),
    [
        ([], False),
        ([vote("bob")], False),
        ([vote("bob"), vote("cid")], True),
        ([vote("bob"), vote("ann")], False),
        ([vote("bob"), vote("cid", agrees=False)], False),
    ],
    ids=["none", "one", "two", "own", "against"],
)
def test_enough_others_must_agree(votes: list[Vote], enough: bool) -> None:
    assert replace(REQUEST, votes=tuple(votes)).enough is enough


def test_who_asks_does_not_agree() -> None:
    check_may_agree(REQUEST, "bob")
    with pytest.raises(ConflictError, match="somebody else"):
        check_may_agree(REQUEST, "ann")


def test_what_is_decided_is_decided() -> None:
    with pytest.raises(ConflictError, match="already"):
        check_open(replace(REQUEST, status=Status.REJECTED))


def test_what_was_asked_for_is_done_while_nothing_has_moved_on() -> None:
    elsewhere = after(BEFORE, decisions.create(flag("other")))

    assert edits_of(elsewhere, REQUEST) == ASKED


def test_what_has_moved_on_is_asked_for_anew() -> None:
    moved = after(BEFORE, decisions.patch("flag", "new", {"owner": "x"}))

    with pytest.raises(StaleRequestError, match="flag new"):
        edits_of(moved, REQUEST)


def test_what_was_to_be_made_is_stale_once_it_is_there() -> None:
    asked = decisions.create(Environment("test"))(BEFORE)
    request = replace(REQUEST, wanted=wanted(BEFORE, asked))

    assert request.wanted[0].version == 0
    with pytest.raises(StaleRequestError):
        edits_of(after(BEFORE, lambda _: asked), request)
