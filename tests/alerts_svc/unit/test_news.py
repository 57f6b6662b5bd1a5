from __future__ import annotations

from dataclasses import replace

import pytest

from alerts_svc.domain.rule import BurnRate, BurnWindow, Comparison, Query, Rule, Threshold
from alerts_svc.domain.severity import Severity
from alerts_svc.evaluator.news import MAX_OPERATIONS, Announcement, News, Scope
from alerts_svc.listener import read_announcement

QUERY = Query("performance.duration_ms", "p95", 300)
SLOW = Rule("Slow", "test", Threshold(QUERY, Comparison.ABOVE, 1.0))
SEARCH = replace(QUERY, filters=(("operation", ("search", "answer")),))
SLOW_SEARCH = Rule("SlowSearch", "test", Threshold(SEARCH, Comparison.ABOVE, 1.0))
RATIO = Query("llm_call.cost_usd", "ratio", 60, "performance.count")
DEAR = Rule("Dear", "test", Threshold(RATIO, Comparison.ABOVE, 1.0))
BURN = Rule(
    "Burn",
    "test",
    BurnRate(
        "llm_call.errors", "llm_call.count", 0.99, (BurnWindow(3600, 300, 14.4, Severity.CRITICAL),)
    ),
)


@pytest.mark.parametrize(
    ("kinds", "operations", "concerned"),
    [
        (None, None, {"Slow", "SlowSearch", "Dear", "Burn"}),
        ({"quality"}, None, set()),
        ({"llm_call"}, None, {"Dear", "Burn"}),
        ({"performance"}, {"rank"}, {"Slow", "Dear"}),
        ({"performance"}, {"search"}, {"Slow", "SlowSearch", "Dear"}),
        ({"performance"}, set(), {"Slow", "Dear"}),
    ],
)
def test_an_announcement_concerns_the_rules_that_it_may_change(
    kinds: set[str] | None, operations: set[str] | None, concerned: set[str]
) -> None:
    scope = Scope(
        None if kinds is None else frozenset(kinds),
        None if operations is None else frozenset(operations),
    )

    assert {r.name for r in (SLOW, SLOW_SEARCH, DEAR, BURN) if scope.concerns(r)} == concerned


def test_announcements_are_joined_until_they_are_taken() -> None:
    news = News()
    news.hear(Announcement(frozenset({"cache"}), frozenset({"a"})))
    news.hear(Announcement(frozenset({"quality"}), None))

    waiting, scope = news.waiting, news.take()

    assert waiting
    assert scope == Scope(frozenset({"cache", "quality"}), None)
    assert not news.waiting
    assert news.take() is None


def test_the_newest_event_of_an_operation_is_remembered_while_it_is_fresh() -> None:
    news = News()
    news.hear(Announcement(latest_event_at=1_000.0, latest_by_operation={"a": 990.0}))
    news.hear(Announcement(latest_event_at=995.0, latest_by_operation={"a": 980.0, "b": 995.0}))

    assert news.latest("a", wall=1_001.0) == 990.0
    assert news.latest("b", wall=1_001.0) == 995.0
    assert news.latest("c", wall=1_001.0) is None
    assert news.latest(None, wall=1_001.0) == 1_000.0
    assert news.latest("a", wall=2_000.0) is None


def test_operations_without_end_do_not_fill_the_memory() -> None:
    news = News()
    for number in range(20 * MAX_OPERATIONS):
        news.hear(Announcement(latest_by_operation={f"o{number}": 1.0}))

    assert sum(news.latest(f"o{n}", wall=1.0) is not None for n in range(20 * MAX_OPERATIONS)) <= (
        MAX_OPERATIONS + 1
    )


def test_an_announcement_is_read_as_it_is_published() -> None:
    body = (
        b'{"kinds": ["performance"], "operations": ["a"], "latest_event_at": 12.5, "committed_at": 13,'
        b' "latest_by_operation": {"a": 12.5}, "more": 1}'
    )

    assert read_announcement(body) == Announcement(
        frozenset({"performance"}), frozenset({"a"}), 12.5, {"a": 12.5}
    )


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b'{"kinds": 1}'])
def test_an_announcement_that_cannot_be_read_says_that_anything_changed(body: bytes) -> None:
    assert read_announcement(body) == Announcement()
