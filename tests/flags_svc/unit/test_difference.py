"""What is different between two versions of an item."""

from __future__ import annotations

from typing import Any

from flags_svc.domain.difference import difference
from flags_svc.domain.documents import document
from tests.flags_svc.worlds import flag, rolled, segment


def rule(value: str, variant: str = "on") -> dict[str, Any]:
    return {
        "when": {"attribute": "a", "operator": "equals", "value": value},
        "serve": {"variant": variant},
    }


def test_what_was_made_or_deleted_is_told_whole() -> None:
    told = document(flag())

    assert difference(None, flag()) == [{"path": "", "after": told}]
    assert difference(flag(), None) == [{"path": "", "before": told}]


def test_what_is_the_same_is_not_told() -> None:
    assert difference(rolled(), rolled()) == []


def test_what_changed_is_told_by_its_place() -> None:
    found = difference(
        rolled(fallthrough={"variant": "on"}, targets=[{"variant": "on", "keys": ["ann"]}]),
        rolled(enabled=False),
    )

    assert found == [
        {"path": "environments.production.enabled", "before": True, "after": False},
        {
            "path": "environments.production.targets[0]",
            "before": {"variant": "on", "keys": ["ann"]},
        },
        {
            "path": "environments.production.fallthrough",
            "before": {"variant": "on"},
            "after": None,
        },
    ]


def test_an_inserted_rule_moves_no_other() -> None:
    found = difference(
        rolled(rules=[rule("1"), rule("2"), rule("3")]),
        rolled(rules=[rule("0"), rule("1"), rule("2", "off"), rule("3")]),
    )
    inserted = difference(rolled(rules=[rule("1")]), rolled(rules=[rule("0"), rule("1")]))

    assert [each["path"] for each in inserted] == ["environments.production.rules[0]"]
    assert inserted[0].keys() == {"path", "after"}
    assert [each["path"] for each in found] == [
        "environments.production.rules[0].when.value",
        "environments.production.rules[1].when.value",
        "environments.production.rules[2]",
    ]


def test_an_added_rule_is_told_alone() -> None:
    (found,) = difference(rolled(rules=[rule("1")]), rolled(rules=[rule("1"), rule("2")]))

    assert found == {"path": "environments.production.rules[1]", "after": rule("2")}


def test_another_order_of_a_split_is_a_difference() -> None:
    (found,) = difference(
        rolled(fallthrough={"split": {"on": 1, "off": 1}}),
        rolled(fallthrough={"split": {"off": 1, "on": 1}}),
    )

    assert found["path"] == "environments.production.fallthrough.split"
    assert [*found["after"]] == ["off", "on"]


def test_a_list_of_plain_values_is_told_whole() -> None:
    assert difference(segment(included=["a"]), segment(included=["a", "b"])) == [
        {"path": "included", "before": ["a"], "after": ["a", "b"]}
    ]


def test_one_and_true_differ() -> None:
    by_number = rolled(
        rules=[{**rule("x"), "when": {"attribute": "a", "operator": "equals", "value": 1}}]
    )
    by_truth = rolled(
        rules=[{**rule("x"), "when": {"attribute": "a", "operator": "equals", "value": True}}]
    )

    (found,) = difference(by_number, by_truth)

    assert (found["before"], found["after"]) == (1, True)
