"""GrowthBook's features, and what becomes of them here."""

from __future__ import annotations

from typing import Any

import pytest

from flags_svc.conversion import growthbook
from flags_svc.conversion.outcome import DRAWN_ANEW, Converted
from flags_svc.domain.bulk import import_items
from flags_svc.domain.flag import ManagedFlag
from flags_svc.domain.projection import project_world
from tests.flags_svc.worlds import after, world
from windsock.flags.definition import Rollout, Split
from windsock.flags.evaluation import compile_set
from windsock_kit.errors import InvalidError


def read(feature: dict[str, Any], **more: Any) -> Converted:
    return growthbook.read({"features": {"new": feature}, **more}, "production")


def feature(*rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"defaultValue": False, "rules": list(rules), **more}


def made(converted: Converted) -> ManagedFlag:
    assert [note for note in converted.notes if note.left_out] == []
    return after(world(), import_items(converted.given)).flags["new"].item


def gives(converted: Converted, **context: Any) -> object:
    found = project_world(after(world(), import_items(converted.given)), "production")
    return compile_set(found)["new"].evaluate("ann", context).value


CASES: list[tuple[Any, list[Any], list[Any]]] = [
    ({"x": "a"}, ["a"], ["b", None]),
    ({"x": None}, [None], ["b"]),
    ({"x": {"$eq": 5}}, [5], [6]),
    ({"x": {"$ne": "a"}}, ["b", None], ["a"]),
    ({"x": {"$ne": None}}, ["b"], [None]),
    ({"x": {"$in": ["a", "b"]}}, ["a", ["b", "c"]], ["c", None]),
    ({"x": {"$nin": ["a"]}}, ["b", None], ["a"]),
    ({"x": {"$ini": ["A"]}}, ["a"], ["b"]),
    ({"x": {"$nini": ["A"]}}, ["b"], ["a"]),
    ({"x": {"$gt": 1, "$lte": 3}}, [2, 3], [1, 4]),
    ({"x": {"$gte": 1, "$lt": 3}}, [1, 2], [0, 3]),
    ({"x": {"$regex": "^a.c"}}, ["abc"], ["bac"]),
    ({"x": {"$notRegex": "^a"}}, ["b"], ["a"]),
    ({"x": {"$regexi": "^A"}}, ["a"], ["b"]),
    ({"x": {"$exists": True}}, ["a"], [None]),
    ({"x": {"$exists": False}}, [None], ["a"]),
    ({"x": {"$vgt": "1.2.0"}}, ["1.3.0"], ["1.1.0"]),
    ({"x": {"$vne": "1.2.0"}}, ["1.3.0"], ["1.2.0"]),
    ({"x": {"$not": {"$in": ["a"]}}}, ["b"], ["a"]),
    ({"x": {"$inGroup": "staff"}}, ["ann"], ["bob"]),
    ({"x": {"$notInGroup": "staff"}}, ["bob"], ["ann"]),
    ({"$or": [{"x": "a"}, {"x": "b"}]}, ["a", "b"], ["c"]),
    ({"$or": []}, ["a"], []),
    ({"$nor": [{"x": "a"}, {"x": "b"}]}, ["c"], ["a", "b"]),
    ({"$nor": []}, [], ["a"]),
    ({"$and": [{"x": {"$gt": 1}}, {"x": {"$lt": 3}}]}, [2], [1, 3]),
    ({"$not": {"x": "a"}}, ["b"], ["a"]),
    ('{"x": "a"}', ["a"], ["b"]),
]


@pytest.mark.parametrize(("condition", "inside", "outside"), CASES, ids=lambda value: None)
def test_conditions_hold_as_before(condition: Any, inside: list[Any], outside: list[Any]) -> None:
    rule = {"condition": condition, "force": True}
    converted = read(feature(rule), savedGroups={"staff": ["ann"]})

    for value in inside:
        assert gives(converted, **({} if value is None else {"x": value})) is True
    for value in outside:
        assert gives(converted, **({} if value is None else {"x": value})) is False


def test_the_first_rule_that_is_for_a_user_decides() -> None:
    converted = read(
        feature(
            {"condition": {"x": "a"}, "force": "one"},
            {"condition": {"y": "b"}, "force": "two"},
            {"force": "three", "enabled": False},
            {"force": "four"},
            {"force": "never"},
            defaultValue="five",
        )
    )

    assert gives(converted, x="a", y="b") == "one"
    assert gives(converted, y="b") == "two"
    assert gives(converted) == "four"
    assert [*made(converted).variants] == ["five", "one", "two", "four"]


def test_without_rules_all_get_the_default() -> None:
    found = made(read({"defaultValue": {"a": 1}}))

    assert (found.type, found.default_variant) == ("object", "value-1")
    assert found.environments["production"].fallthrough is None


def test_shares_keep_their_size() -> None:
    converted = read(feature({"force": True, "coverage": 0.125, "hashAttribute": "company"}))
    found = made(converted)

    assert found.environments["production"].fallthrough == Rollout(12_500, "on", "off")
    assert found.bucket_by == "company"
    assert [note.detail for note in converted.notes] == [DRAWN_ANEW]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"variations": [False, True]}, Split({"off": 5_000, "on": 5_000})),
        ({"variations": [True, False], "weights": [0.3, 0.7]}, Split({"on": 3_000, "off": 7_000})),
        (
            {"variations": [True, False], "coverage": 0.5},
            Rollout(50_000, Split({"on": 5_000, "off": 5_000}), "off"),
        ),
        (
            {"values": [{"value": "true", "weight": 0.2}, {"value": "false", "weight": 0.8}]},
            Split({"on": 2_000, "off": 8_000}),
        ),
        ({"variations": [True, False], "weights": [9, 1]}, Split({"on": 5_000, "off": 5_000})),
    ],
    ids=["equal", "weights", "coverage", "api", "weights that are no shares"],
)
def test_experiments_keep_their_shares(rule: dict[str, Any], expected: object) -> None:
    found = made(read(feature(rule, valueType="boolean")))

    assert found.environments["production"].fallthrough == expected
    assert found.bucket_by == "targetingKey"


def test_the_api_tells_of_environments() -> None:
    row = {
        "id": "new",
        "valueType": "number",
        "defaultValue": "1.5",
        "owner": "ann",
        "description": "How many.",
        "tags": ["a"],
        "archived": False,
        "environments": {
            "production": {"enabled": True, "rules": [{"force": "2", "condition": '{"x": "a"}'}]},
            "staging": {"enabled": False, "rules": []},
        },
    }
    converted = growthbook.read({"features": [row]}, "production")
    elsewhere = growthbook.read({"features": [row]}, "development")

    found = made(converted)
    assert (found.type, found.owner, found.tags) == ("float", "ann", ("a",))
    assert gives(converted, x="a") == 2
    assert gives(converted) == 1.5
    item = elsewhere.given[0].item
    assert isinstance(item, ManagedFlag)
    assert not item.environments["development"].enabled
    assert [note.left_out for note in elsewhere.notes] == [False]


def test_values_that_are_no_names_get_one() -> None:
    found = made(read({"defaultValue": "", "rules": [{"variations": ["a\n", "x" * 200, "b"]}]}))

    assert [*found.variants] == ["value-1", "value-2", "value-3", "b"]


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({}, "features.new.defaultValue"),
        ({"defaultValue": None}, "features.new"),
        ({"defaultValue": 1, "rules": [{"force": "a"}]}, "features.new"),
        ({"defaultValue": "x", "valueType": "json"}, "features.new"),
        ({"defaultValue": 1, "prerequisites": [{"id": "a"}]}, "features.new.prerequisites"),
        (
            feature({"force": True, "parentConditions": [{}]}),
            "features.new.rules[0].parentConditions",
        ),
        (
            feature({"variations": [1, 2], "namespace": ["a", 0, 1]}),
            "features.new.rules[0].namespace",
        ),
        (feature({"force": True, "coverage": 0.5}, {"force": True}), "features.new.rules[0]"),
        (
            feature({"force": True, "coverage": 0.5, "condition": {"x": 1}}, {"force": True}),
            "features.new.rules[0]",
        ),
        (feature({"force": True, "coverage": 2}), "features.new.rules[0].coverage"),
        (feature({"force": True, "range": [0, 0.1]}), "features.new.rules[0].range"),
        (feature({"force": True, "hashVersion": 9}), "features.new.rules[0].hashVersion"),
        (
            feature({"variations": [1, 2], "fallbackAttribute": "device"}),
            "features.new.rules[0].fallbackAttribute",
        ),
        (feature({}), "features.new.rules[0]"),
        (feature({"variations": []}), "features.new.rules[0]"),
        (feature({"variations": [True], "weights": [1, 2]}), "features.new.rules[0].weights"),
        (feature({"variations": [True], "weights": ["a"]}), "features.new.rules[0].weights"),
        (feature({"force": True, "condition": "{"}), "features.new.rules[0].condition"),
        (feature({"force": True, "condition": [1]}), "features.new.rules[0].condition"),
        (
            feature({"force": True, "condition": {"x": {"$elemMatch": {}}}}),
            "features.new.rules[0].condition.x.$elemMatch",
        ),
        (
            feature({"force": True, "condition": {"$where": 1}}),
            "features.new.rules[0].condition.$where",
        ),
        (feature({"force": True, "condition": {"x": [1]}}), "features.new.rules[0].condition.x"),
        (
            feature({"force": True, "condition": {"x": {"$in": [[1]]}}}),
            "features.new.rules[0].condition.x.$in",
        ),
        (
            feature({"force": True, "condition": {"x": {"$in": 5}}}),
            "features.new.rules[0].condition.x.$in",
        ),
        (
            feature({"force": True, "condition": {"x": {"$gt": "a"}}}),
            "features.new.rules[0].condition.x.$gt",
        ),
        (
            feature({"force": True, "condition": {"x": {"$inGroup": "gone"}}}),
            "features.new.rules[0].condition.x.$inGroup",
        ),
        (feature({"force": True, "condition": {"x": {"$regex": "("}}}), "features.new"),
        (
            feature(
                {"variations": [True, False], "hashAttribute": "a", "condition": {"x": 1}},
                {"variations": [True, False], "hashAttribute": "b"},
            ),
            "features.new.rules[1].hashAttribute",
        ),
    ],
    ids=lambda value: None,
)
def test_a_feature_that_has_no_equal_is_left_out(given: dict[str, Any], path: str) -> None:
    converted = read(given)

    assert converted.given == []
    assert [(note.path, note.left_out) for note in converted.notes] == [(path, True)]


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        {"features": 5},
        {"features": [{}]},
        {"features": [5]},
        {"features": {"a": 5}},
        {"features": []},
        {"features": {}},
    ],
    ids=str,
)
def test_what_is_no_payload_is_refused(value: Any) -> None:
    with pytest.raises(InvalidError):
        growthbook.read(value, "production")
