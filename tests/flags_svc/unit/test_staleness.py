"""Which flags could go."""

from __future__ import annotations

import pytest

from flags_svc.domain.flag import ManagedFlag
from flags_svc.domain.staleness import DAY, Reason, Used, judge, stale
from flags_svc.domain.world import Stored
from tests.flags_svc.worlds import flag

NOW = 1_000 * DAY
BOTH = [Used("production", "on", 3, NOW - 5), Used("production", "off", 1, NOW - 9)]
ONE = [Used("production", "on", 3, NOW - 5), Used("staging", "on", 1, NOW - 9)]


def stored(
    item: ManagedFlag, *, days: float = 30, changed: float | None = None
) -> Stored[ManagedFlag]:
    at = NOW - (days if changed is None else changed) * DAY
    return Stored(item, 1, 1, NOW - days * DAY, at, "ann")


def test_a_flag_in_its_lifetime_that_gives_several_variants_stays() -> None:
    found = judge(stored(flag()), BOTH, at=NOW)

    assert found.reasons == {}
    assert found.last_evaluated_at == NOW - 5


def test_a_flag_past_its_lifetime_could_go() -> None:
    found = judge(stored(flag(lifetime_days=10)), BOTH, at=NOW)

    assert found.reasons == {
        Reason.PAST_LIFETIME: "it is 30 days old, and was to live for 10",
    }


def test_a_flag_without_a_lifetime_lives_for_ever() -> None:
    assert judge(stored(flag(lifetime_days=None), days=900), BOTH, at=NOW).reasons == {}


def test_a_flag_that_nobody_asks_for_could_go() -> None:
    found = judge(stored(flag()), [Used("production", "on", 0, NOW)], at=NOW)

    assert found.reasons == {Reason.NOT_EVALUATED: "it was not evaluated for 14 days"}
    assert found.last_evaluated_at is None


@pytest.mark.parametrize(("days", "expected"), [(13.9, False), (14, True)])
def test_a_young_flag_has_time_to_be_used(days: float, expected: bool) -> None:
    assert bool(judge(stored(flag(), days=days), [], at=NOW).reasons) is expected


def test_a_flag_that_gives_one_variant_everywhere_could_go() -> None:
    found = judge(stored(flag()), ONE, at=NOW)

    assert found.reasons == {
        Reason.ONE_VARIANT: "all 4 evaluations of the last 14 days gave 'on' (production, staging)",
    }


def test_the_callers_default_is_one_thing_too() -> None:
    found = judge(stored(flag()), [Used("production", None, 2, NOW)], at=NOW, days=7)

    assert "gave the caller's default (production)" in found.reasons[Reason.ONE_VARIANT]


def test_what_was_changed_lately_has_time_to_give_something_else() -> None:
    assert judge(stored(flag(), changed=3), ONE, at=NOW).reasons == {}


def test_flags_that_could_go_are_told_by_key_and_archived_ones_are_gone() -> None:
    flags = [stored(flag(key)) for key in "cab"] + [stored(flag("d", archived=True))]

    found = stale(flags, {"a": BOTH}, at=NOW)

    assert [each.key for each in found] == ["b", "c"]
