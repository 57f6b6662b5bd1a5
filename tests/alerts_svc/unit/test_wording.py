"""What is said in plain words."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from alerts_svc.domain import wording
from alerts_svc.domain.alert import Change
from alerts_svc.domain.message import Details
from alerts_svc.domain.severity import Severity
from tests.alerts_svc.messages import ITEM, MESSAGE, NOW, RESOLVED, TEST, message


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (3412.4, "ms", "3,412 ms"),
        (0.0512, "percent", "5.12 %"),
        (1.2, "usd", "$1.20"),
        (0.00421, "usd", "$0.00421"),
        (-3.5, "usd", "-$3.50"),
        (12_345.678, "usd", "$12,345.68"),
        (5.0, "score", "5 points"),
        (14.4, "x", "14.4 x"),
        (1_234_567, "", "1,234,567"),
        (0.0, "", "0"),
        (None, "ms", "unknown"),
        (math.nan, "ms", "not a number ms"),
        (math.inf, "", "infinite"),
        (-math.inf, "", "-infinite"),
        (1e308, "percent", "infinite %"),
        (1e300, "", "1.00e+300"),
        (1e-9, "", "1.00e-09"),
        (2.0, "\x1b[1mfurlong\r\n", "2 furlong"),
    ],
)
def test_quantities(value: float | None, unit: str, words: str) -> None:
    assert wording.quantity(value, unit) == words


@pytest.mark.parametrize(
    ("value", "threshold", "comparison", "unit", "words"),
    [
        (0.1243, 0.1, ">", "percent", "12.4 % (limit: above 10 %)"),
        (0.050004, 0.05, ">", "percent", "5.0004 % (limit: above 5 %)"),
        (4.2, 5.0, "<", "score", "4.2 points (limit: below 5 points)"),
        (0.61, 0.5, ">", "usd", "$0.61 (limit: above $0.50)"),
        (3000, 3000, ">=", "ms", "3,000 ms (limit: at least 3,000 ms)"),
        (1, None, "", "", "1"),
        (None, 3000, "<=", "ms", "unknown (limit: at most 3,000 ms)"),
        (None, None, "", "", ""),
    ],
)
def test_value_against_its_limit(
    value: float | None, threshold: float | None, comparison: str, unit: str, words: str
) -> None:
    item = replace(ITEM, value=value, threshold=threshold, comparison=comparison, unit=unit)

    assert wording.compared(item) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (90_061, "1 day 1 h"),
        (2 * 86_400, "2 days"),
        (-5, "0 s"),
        (math.inf, "unknown"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert wording.duration(seconds) == words


def test_moments_of_no_calendar_do_no_harm() -> None:
    assert wording.moment(NOW) == "2026-09-21 14:13:20 UTC"
    assert wording.moment(1e30) == wording.moment(math.nan) == "unknown"


def test_since_when_and_until_when() -> None:
    over = RESOLVED.items[0]

    assert wording.since(ITEM, NOW) == "2026-09-21 14:10:00 UTC (for 3 min 20 s)"
    assert wording.since(over, NOW) == (
        "2026-09-21 14:10:00 UTC until 2026-09-21 14:13:20 UTC (3 min 20 s)"
    )


def test_what_the_value_covers() -> None:
    assert wording.window(ITEM) == "last 5 min, 1,204 events"
    assert wording.window(replace(ITEM, window_seconds=None, samples=1)) == "1 event"


@pytest.mark.parametrize("change", [*Change, None])
def test_every_change_has_words(change: Change | None) -> None:
    assert wording.status(replace(ITEM, change=change))


def test_title_tells_alerts_of_one_rule_apart() -> None:
    said = {"summary": "Model calls fail"}
    labels = {"alertname": "LLMErrors", "environment": "staging", "model": "gpt-4o", "team": "a"}

    item = replace(ITEM, annotations=said, labels=labels)

    assert wording.title(item) == "Model calls fail: gpt-4o, staging"


def test_title_repeats_nothing_that_its_summary_says() -> None:
    part = replace(ITEM, labels={"operation": "err"})

    assert wording.title(ITEM) == "Too many errors of chat"
    assert wording.title(part) == "Too many errors of chat: err"


def test_labels_are_those_that_tell_alerts_apart() -> None:
    known = {"alertname": "A", "severity": "warning", "operation": "chat", "signal": "errors"}

    item = replace(ITEM, labels=known | {"job": "api\nx", "environment": "", "provider": "openai"})

    assert wording.labels(item) == "job=api x, provider=openai"


def test_labels_without_end_are_counted() -> None:
    item = replace(ITEM, labels={f"label_{n}": "x" for n in range(30)})

    assert wording.labels(item).endswith("label_15=x and 22 more")


def test_title_without_a_summary_names_what_it_is_about() -> None:
    assert wording.title(replace(ITEM, annotations={})) == "ErrorRate: chat"
    assert wording.title(replace(ITEM, annotations={}, labels={}, rule=None)) == "alert"


@pytest.mark.parametrize(
    ("changes", "details", "words"),
    [
        ({"annotations": {"impact": "Sign-ups fail"}}, None, "Sign-ups fail"),
        ({"change": Change.RESOLVED}, None, "none any more: it is over"),
        ({"unit": "ms", "value": 6200.0}, None, "requests of chat take 6,200 ms: people wait"),
        ({"unit": "usd", "value": 1.2}, None, "money is spent faster than planned: $1.20"),
        ({"unit": "score"}, None, "answers of chat are worse than they should be"),
        ({}, Details(error_rate=0.125), "about 1 in 8 requests of chat fails"),
        ({}, None, "users are affected now"),
        ({"severity": Severity.WARNING}, None, "not critical yet; users may notice"),
    ],
)
def test_impact(changes: dict[str, object], details: Details | None, words: str) -> None:
    assert wording.impact(replace(ITEM, **changes), details) == words  # type: ignore[arg-type]


def test_no_data_is_not_told_as_over() -> None:
    item = replace(ITEM, change=Change.NO_DATA)

    assert "nothing is known" in wording.impact(item, None)
    assert wording.status(item) == "no data"


def test_details_are_told_as_far_as_known() -> None:
    many = Details(tuple(f"op{n}" for n in range(12)), note="details\x00 unavailable")

    assert dict(wording.detail_pairs(MESSAGE.details)) == {
        "operations": "chat",
        "average": "3,211 ms",
        "errors": "12.4 %",
        "most of it": "gpt-4o (81 %)",
        "cost": "$1.20 an hour",
    }
    assert dict(wording.detail_pairs(many))["operations"].endswith("op9 and 2 more")
    assert wording.detail_pairs(None) == []


def test_headline_tells_severity_status_and_how_many() -> None:
    assert wording.headline(MESSAGE) == "[CRITICAL] firing: Too many errors of chat"
    assert wording.headline(message(ITEM, ITEM, truncated=3)).endswith("(and 4 more)")
    assert wording.headline(RESOLVED) == "[CRITICAL] resolved: Too many errors of chat"
    assert wording.headline(TEST) == "[WARNING] test: This is a test of the channel here"
    assert wording.headline(message(RESOLVED.items[0], ITEM)).startswith("[CRITICAL] firing")


def test_counts_are_told_for_more_than_one_alert() -> None:
    assert wording.counted(MESSAGE) == ""
    assert (
        wording.counted(message(counts={"firing": 2, "resolved": 0, "no_data": 1}, truncated=7))
        == "2 firing, 1 no data, 7 not listed"
    )


def test_subject_is_the_same_through_an_episode() -> None:
    labels = {"alertname": "ErrorRate", "operation": "chat\r\nBcc: x"}
    fired, over = message(group_labels=labels), replace(RESOLVED, group_labels=labels)

    assert wording.subject(fired) == "[Windsock] ErrorRate (operation=chat Bcc: x)"
    assert wording.subject(over) == wording.subject(fired)
    assert len(wording.subject(message(group_labels={"a" * 100: "b" * 5000}))) <= 160


def test_newest_changes_come_first() -> None:
    event = MESSAGE.changes[0]
    events = tuple(replace(event, name=f"flag{n}", at=NOW + n) for n in range(7))

    lines = wording.changes(message(changes=events))

    assert "flag6 by ana: on for everybody" in lines[0]
    assert lines[-1] == "and 2 more"
