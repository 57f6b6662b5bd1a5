"""Which alerts a rule can no longer say anything of."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from alerts_svc.domain.assessment import labels_of
from alerts_svc.domain.rule import Comparison, Query, Rule, Threshold
from alerts_svc.evaluator.judging import orphaned

Filters = tuple[tuple[str, tuple[str | None, ...]], ...]


def rule(labels: Mapping[str, str] | None = None, filters: Filters = ()) -> Rule:
    query = Query("slow", "avg", 60, None, ("operation",), filters)
    return Rule(
        "Slow", "g", Threshold(query, Comparison.ABOVE, warning=1.0), labels=dict(labels or {})
    )


@pytest.mark.parametrize(
    "labels",
    [{}, {"team": "x"}, {"team": ""}, {"team": "a\0b"}, {"team": "x" * 3_000}],
    ids=["none", "one", "empty", "nul", "too long"],
)
@pytest.mark.parametrize("operation", ["a", "a\0b", None])
def test_a_rule_speaks_of_the_alerts_that_it_makes(
    labels: dict[str, str], operation: str | None
) -> None:
    made = rule(labels, (("operation", (operation, "b")),))

    assert orphaned(made, labels_of(made, (operation,))) is None


@pytest.mark.parametrize(
    ("operation", "filters", "expected"),
    [
        ("a", (("operation", ("b", "c")),), "rule_changed"),
        ("a", (("operation", (None,)),), "rule_changed"),
        (None, (("operation", ("a",)),), "rule_changed"),
        ("a", (("model", ("m",)),), None),
    ],
    ids=["others", "none", "was none", "not grouped by"],
)
def test_what_the_filters_leave_out_is_no_alert_of_the_rule_any_more(
    operation: str | None, filters: Filters, expected: str | None
) -> None:
    before = rule()

    assert orphaned(rule(filters=filters), labels_of(before, (operation,))) == expected
