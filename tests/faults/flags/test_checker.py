"""The checker finds each fault that is put into a right record, and none in the right one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.faults.flags.checker import DATABASE, DEFAULT, check
from tests.faults.flags.record import Attempt, Away, Failed, Quiet, Record, Seen, Stored

Plant = Callable[[Record], object]


def right() -> Record:
    """Return a record of two changes that were made, and of one that was refused."""
    return Record(
        attempts=[
            Attempt("a", 1, 1.0, 1.1, 201, revision=2),
            Attempt("a", 2, 2.0, 2.1, 200, revision=3),
            Attempt("a", 3, 3.2, 3.3, 503, retry_after="1"),
            Attempt("a", 4, 3.5, 5.0, 0),
            Attempt("a", 5, 5.1, 5.2, 200, revision=5),
        ],
        history={
            "e": [
                Stored(1, "production", None),
                Stored(2, "a", 1),
                Stored(3, "a", 2),
                Stored(4, "a", 4),
                Stored(5, "a", 5),
            ]
        },
        seen=[
            Seen("application", 1, 0.5, {"a": DEFAULT}, "", None),
            Seen("application", 1, 1.2, {"a": 1}, "e", 2),
            Seen("application", 1, 5.3, {"a": 5}, "e", 5),
            Seen("service", 1, 2.2, {"a": 2}),
            Seen("service", 2, 4.0, {"a": 1}),
            Seen("service", 2, 5.4, {"a": 5}),
        ],
        failed=[Failed("service", 3.6, "no answer", 0)],
        away=[Away(DATABASE, 3.0, 4.0), Away("service", 3.5, 3.9)],
        quiet=[Quiet(5.2, 1.0, {"a": 5}, ("application", "service"))],
    )


def test_a_right_record_is_right() -> None:

    assert check(right()) == []


PLANTED: dict[str, tuple[str, Plant]] = {
    "a change is lost": ("F1", lambda r: r.history["e"].__setitem__(2, Stored(3, "b", None))),
    "a change is at another revision": ("F1", lambda r: r.attempts.__setitem__(1, replace(r.attempts[1], revision=4))),
    "a change is there twice": ("F1", lambda r: r.history["e"].append(Stored(6, "a", 5))),
    "a change that nobody asked for": ("F1", lambda r: r.history["e"].append(Stored(6, "a", 9))),
    "a change comes after a later one": ("F1", lambda r: r.history["e"].append(Stored(6, "a", 3))),
    "a revision is missing": ("F2", lambda r: r.history["e"].pop(0)),
    "a revision is there twice": ("F2", lambda r: r.history["e"].insert(1, Stored(1, "b", None))),
    "an application goes back": ("F2", lambda r: r.seen.append(Seen("application", 1, 5.5, {"a": 4}, "e", 4))),
    "a service goes back": ("F2", lambda r: r.seen.append(Seen("service", 2, 5.5, {"a": 4}))),
    "an application has what never was": ("F2", lambda r: r.seen.insert(2, Seen("application", 1, 1.3, {"a": 2}, "e", 2))),
    "an application is of no epoch": ("F2", lambda r: r.seen.insert(2, Seen("application", 1, 1.3, {"a": 2}, "x", 3))),
    "an application stays behind": ("F3", lambda r: r.seen.__setitem__(2, Seen("application", 1, 5.3, {"a": 4}, "e", 4))),
    "an application comes too late": ("F3", lambda r: r.seen.__setitem__(2, Seen("application", 1, 6.3, {"a": 5}, "e", 5))),
    "a service is never heard of": ("F3", lambda r: r.quiet.append(Quiet(5.2, 1.0, {"a": 5}, ("other",)))),
    "an application raises": ("F4", lambda r: r.failed.append(Failed("application", 3.6, "KeyError"))),
    "a service answers 500": ("F4", lambda r: r.failed.append(Failed("service", 3.6, "HTTP 500", 500))),
    "a service does not answer": ("F4", lambda r: r.failed.append(Failed("service", 1.0, "no answer", 0))),
    "an application gives a default": ("F4", lambda r: r.seen.append(Seen("application", 1, 5.5, {"a": DEFAULT}, "e", 5))),
    "a refusal does not say when to try again": ("F5", lambda r: r.attempts.__setitem__(2, replace(r.attempts[2], retry_after=None))),
    "a refusal is a fault": ("F5", lambda r: r.attempts.__setitem__(2, replace(r.attempts[2], status=500))),
    "a refused change comes true": ("F5", lambda r: r.history["e"].insert(3, Stored(4, "a", 3))),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name: str) -> None:
    promise, plant = PLANTED[name]
    record = right()

    plant(record)

    found = check(record)
    assert any(problem.startswith(promise) for problem in found), found
