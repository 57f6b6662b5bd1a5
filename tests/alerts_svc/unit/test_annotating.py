from __future__ import annotations

import pytest

from alerts_svc.domain.annotating import annotated
from alerts_svc.domain.rule import Comparison, Query, Rule, Threshold

LABELS = {"operation": "chat", "model": "{{ $value }}"}


def rule(summary: str) -> Rule:
    condition = Threshold(Query("performance.errors", "sum", 60), Comparison.ABOVE, warning=1.0)
    return Rule("Failing", "g", condition, annotations={"summary": summary, "impact": "bad"})


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("{{ $labels.operation }} is slow", "chat is slow"),
        ("{{$labels.operation}}, {{ labels.operation }}", "chat, chat"),
        ("it is {{ $value }} now", "it is 0.0612346 now"),
        ("none: {{ $labels.region }}.", "none: ."),
        ("{{ $labels.model }}", "{{ $value }}"),
        ("{{7*7}} {operation} {{ $labels }} {{ $labels.a.b }} %s", None),
    ],
    ids=["label", "spaces", "value", "no such label", "once", "anything else"],
)
def test_what_a_rule_says_is_filled_in(written: str, told: str | None) -> None:
    said = annotated(rule(written), {}, LABELS, 0.06123456)

    assert said == {"summary": written if told is None else told, "impact": "bad"}


def test_a_value_that_is_not_there_is_told_as_such() -> None:
    assert annotated(rule("{{ $value }}"), {}, {}, None)["summary"] == "unknown"


def test_what_a_sender_says_wins_and_is_taken_as_it_is() -> None:
    own = {"summary": "{{ $value }}"}

    assert annotated(rule("ours"), own, LABELS, 1.0) == {**own, "impact": "bad"}
    assert annotated(None, own, LABELS, 1.0) == own
