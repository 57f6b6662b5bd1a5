"""Unleash's exports, and what becomes of them here."""

from __future__ import annotations

from typing import Any

import pytest

from flags_svc.conversion import unleash
from flags_svc.conversion.outcome import DRAWN_ANEW, Converted
from flags_svc.domain.bulk import import_items
from flags_svc.domain.flag import ManagedFlag
from flags_svc.domain.projection import project_world
from flags_svc.domain.world import World
from tests.flags_svc.worlds import after, world
from windsock.flags.definition import Rollout, Split
from windsock.flags.evaluation import compile_set
from windsock_kit.errors import InvalidError

HALF = {"name": "flexibleRollout", "parameters": {"rollout": "50", "stickiness": "default"}}
ALL = {"name": "flexibleRollout", "parameters": {"rollout": "100", "stickiness": "random"}}
NONE = {"name": "flexibleRollout", "parameters": {"rollout": 0}}
RED = {"name": "red", "weight": 300, "payload": {"type": "string", "value": "#f00"}}
BLUE = {"name": "blue", "weight": 700, "payload": {"type": "string", "value": "#00f"}}


def constraint(name: str, operator: str, *values: str, **more: Any) -> dict[str, Any]:
    return {"contextName": name, "operator": operator, "values": list(values), **more}


def strategy(*constraints: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "default", "constraints": list(constraints), **more}


def feature(*strategies: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "new", "enabled": True, "strategies": list(strategies), **more}


def read(*features: dict[str, Any], **more: Any) -> Converted:
    return unleash.read({"version": 2, "features": list(features), **more}, "production")


def made(converted: Converted, key: str = "new") -> ManagedFlag:
    assert [note for note in converted.notes if note.left_out] == []
    return _world(converted).flags[key].item


def _world(converted: Converted) -> World:
    return after(world(), import_items(converted.given))


def gives(converted: Converted, user: str | None = "ann", **context: Any) -> object:
    compiled = compile_set(project_world(_world(converted), "production"))
    return compiled["new"].evaluate(user, context).value


def test_a_feature_without_strategies_is_for_all() -> None:
    assert gives(read(feature())) is True
    assert gives(read(feature(enabled=False))) is False
    assert gives(read(feature({"name": "unheard-of", "disabled": True}))) is True


CASES: list[tuple[dict[str, Any], list[Any], list[Any]]] = [
    (constraint("x", "IN", "a", "b"), ["a"], ["c", None]),
    (constraint("x", "NOT_IN", "a"), ["b", None], ["a"]),
    (constraint("x", "IN", "a", inverted=True), ["b", None], ["a"]),
    (constraint("x", "NOT_IN", "a", inverted=True), ["a"], ["b", None]),
    (constraint("x", "STR_CONTAINS", "b"), ["abc"], ["ABC"]),
    (constraint("x", "STR_CONTAINS", "b", caseInsensitive=True), ["ABC"], ["ac"]),
    (constraint("x", "STR_STARTS_WITH", "a"), ["ab"], ["ba"]),
    (constraint("x", "STR_ENDS_WITH", "a"), ["ba"], ["ab"]),
    (constraint("x", "NUM_EQ", value="5"), [5, 5.0], [6, None]),
    (constraint("x", "NUM_GT", value="1.5"), [2], [1.5]),
    (constraint("x", "NUM_GTE", value="2"), [2], [1]),
    (constraint("x", "NUM_LT", value="2"), [1], [2]),
    (constraint("x", "NUM_LTE", value="2"), [2], [3]),
    (
        constraint("x", "DATE_AFTER", value="2026-01-01T00:00:00Z"),
        ["2026-02-01T00:00:00Z"],
        ["2025-02-01T00:00:00Z"],
    ),
    (
        constraint("x", "DATE_BEFORE", value="2026-01-01T00:00:00Z"),
        ["2025-02-01T00:00:00Z"],
        ["2026-02-01T00:00:00Z"],
    ),
    (constraint("x", "SEMVER_EQ", value="1.2.3"), ["1.2.3"], ["1.2.4"]),
    (constraint("x", "SEMVER_GT", value="1.2.3"), ["1.2.4"], ["1.2.3"]),
    (constraint("x", "SEMVER_LT", value="1.2.3"), ["1.2.3-rc.1"], ["1.2.3"]),
    (constraint("x", "REGEX", value="^a+$"), ["aa"], ["ab"]),
    (constraint("x", "IN_CIDR", "10.0.0.0/8"), ["10.1.2.3"], ["11.1.2.3"]),
]


@pytest.mark.parametrize(("given", "inside", "outside"), CASES, ids=lambda value: None)
def test_constraints_hold_as_before(
    given: dict[str, Any], inside: list[Any], outside: list[Any]
) -> None:
    converted = read(feature(strategy(given)))

    for value in inside:
        assert gives(converted, **({} if value is None else {"x": value})) is True
    for value in outside:
        assert gives(converted, **({} if value is None else {"x": value})) is False


@pytest.mark.parametrize("operator", ["IN", "NOT_IN", "STR_CONTAINS"])
def test_case_is_ignored_where_it_was(operator: str) -> None:
    given = constraint("x", operator, "App-[v1]", caseInsensitive=True)

    assert gives(read(feature(strategy(given))), x="APP-[V1]") is (operator != "NOT_IN")


def test_a_share_of_all_is_of_those_who_can_be_drawn() -> None:
    whole = {"name": "flexibleRollout", "parameters": {"rollout": 100, "stickiness": "company"}}

    assert gives(read(feature(whole)), "ann", company="x") is True
    assert gives(read(feature(whole)), "ann") is False


def test_variants_of_a_strategy_are_drawn_as_its_users_are() -> None:
    parameters = {"rollout": 100, "stickiness": "company"}
    given = {"name": "flexibleRollout", "parameters": parameters, "variants": [RED, BLUE]}

    assert made(read(feature(given))).bucket_by == "company"


@pytest.mark.parametrize(
    ("parent", "dependency", "expected"),
    [
        ({}, {}, True),
        ({"variants": [RED, BLUE]}, {}, True),
        ({"variants": [RED]}, {"variants": ["red", "gone"]}, True),
        ({"enabled": False}, {}, False),
        ({"enabled": False}, {"enabled": False}, True),
        ({"variants": [RED], "enabled": False}, {"enabled": False}, True),
        ({"variants": [RED]}, {"enabled": False}, False),
        ({}, {"variants": ["disabled"]}, True),
    ],
    ids=["on", "any", "one", "off", "wanted off", "off with variants", "not off", "no variant"],
)
def test_a_parent_gives_what_its_child_needs(
    parent: dict[str, Any], dependency: dict[str, Any], expected: bool
) -> None:
    converted = read(
        {**feature(**parent), "name": "base"},
        feature(dependencies=[{"feature": "base", **dependency}]),
    )

    assert gives(converted) is expected


def test_a_user_needs_one_strategy_of_which_all_constraints_hold() -> None:
    converted = read(
        feature(
            strategy(constraint("x", "IN", "a"), constraint("y", "IN", "b")),
            {"name": "userWithId", "parameters": {"userIds": "ann, bob,"}},
            {"name": "remoteAddress", "parameters": {"IPs": "10.0.0.1,::1"}},
        )
    )

    assert gives(converted, "cid", x="a", y="b") is True
    assert gives(converted, "cid", x="a") is False
    assert gives(converted, "bob") is True
    assert gives(converted, "cid", remoteAddress="::1") is True


def test_segments_are_carried_over() -> None:
    segments = [
        {"id": 7, "name": "Our staff!", "constraints": [constraint("userId", "IN", "ann")]},
        {"id": 8, "name": "Our staff?", "constraints": []},
        {"id": 9, "name": "!"},
    ]
    converted = read(feature(strategy(segments=[7, 8])), segments=segments)

    assert [*_world(converted).segments] == ["Our-staff", "Our-staff-8", "segment-9"]
    assert gives(converted, "ann") is True
    assert gives(converted, "bob") is False


@pytest.mark.parametrize(
    ("strategies", "expected"),
    [
        ([HALF], Rollout(50_000, "on", "off")),
        ([NONE, HALF], Rollout(50_000, "on", "off")),
        ([NONE], "off"),
        ([ALL], "on"),
        ([HALF, ALL], "on"),
        (
            [{"name": "gradualRolloutUserId", "parameters": {"percentage": "5"}}],
            Rollout(5_000, "on", "off"),
        ),
    ],
    ids=["half", "none and half", "none", "all", "half and all", "gradual"],
)
def test_shares_keep_their_size(strategies: list[dict[str, Any]], expected: object) -> None:
    found = made(read(feature(*strategies))).environments["production"]

    assert found.fallthrough == expected
    assert found.rules == ()


def test_a_share_of_some_comes_last() -> None:
    some = {**HALF, "constraints": [constraint("x", "IN", "a")]}
    converted = read(feature(some, strategy(constraint("y", "IN", "b"))))

    rules = made(converted).environments["production"].rules

    assert [rule.serve for rule in rules] == ["on", Rollout(50_000, "on", "off")]
    assert [note.detail for note in converted.notes] == [DRAWN_ANEW]


@pytest.mark.parametrize(
    ("given", "bucket_by"),
    [
        ({"name": "gradualRolloutSessionId", "parameters": {"percentage": 5}}, "sessionId"),
        ({**HALF, "parameters": {"rollout": 5, "stickiness": "userId"}}, "targetingKey"),
        ({**HALF, "parameters": {"rollout": 5, "stickiness": "company"}}, "company"),
    ],
    ids=["session", "user", "other"],
)
def test_users_are_drawn_by_what_they_were(given: dict[str, Any], bucket_by: str) -> None:
    assert made(read(feature(given))).bucket_by == bucket_by


def test_variants_have_their_values_and_weights() -> None:
    converted = read(feature(HALF, variants=[RED, BLUE]))
    found = made(converted)

    assert found.type == "string"
    assert found.variants == {"red": "#f00", "blue": "#00f", "disabled": ""}
    assert found.off_variant == "disabled"
    assert found.environments["production"].fallthrough == Rollout(
        50_000, Split({"red": 300, "blue": 700}), "disabled"
    )


def test_strategies_have_variants_of_their_own() -> None:
    own = strategy(constraint("x", "IN", "a"), variants=[RED])
    converted = read(feature(own, strategy(variants=[BLUE]), strategy(constraint("y", "IN", "b"))))

    assert gives(converted, x="a") == "#f00"
    assert gives(converted, y="b") == "#00f"
    assert len(made(converted).environments["production"].rules) == 1


@pytest.mark.parametrize(
    ("payloads", "type_", "value"),
    [
        ([{"type": "number", "value": "1.5"}], "float", 1.5),
        ([{"type": "json", "value": '{"a":1}'}], "object", {"a": 1}),
        ([None], "string", "v0"),
        ([{"type": "number", "value": "1"}, {"type": "csv", "value": "a,b"}], "string", "1"),
    ],
    ids=["number", "json", "none", "mixed"],
)
def test_values_have_the_type_that_all_have(payloads: list[Any], type_: str, value: object) -> None:
    variants = [
        {"name": f"v{number}", "weight": 1, "payload": each} for number, each in enumerate(payloads)
    ]

    found = made(read(feature(variants=variants)))

    assert found.type == type_
    assert found.variants["v0"] == value


def test_an_export_keeps_in_lists_what_belongs_together() -> None:
    export = {
        "features": [
            {"name": "new", "type": "kill-switch", "description": "Try it.", "archived": False},
            {"name": "base", "type": "operational"},
        ],
        "featureStrategies": [
            {"featureName": "new", "sortOrder": 2, **strategy(variants=[BLUE])},
            {
                "featureName": "new",
                "sortOrder": 1,
                **strategy(constraint("x", "IN", "a"), variants=[RED]),
            },
        ],
        "featureEnvironments": [
            {"featureName": "new", "environment": "prod", "enabled": True, "variants": []},
            {"featureName": "base", "environment": "prod", "enabled": True},
        ],
        "featureTags": [{"featureName": "new", "tagType": "simple", "tagValue": "ui"}],
        "dependencies": [
            {"feature": "new", "dependencies": [{"feature": "base", "enabled": True}]}
        ],
    }
    converted = unleash.read(export, "production")

    found = made(converted)
    assert (found.kind, found.lifetime_days, found.tags) == ("operational", None, ("ui",))
    assert found.description == "Try it."
    assert [each.flag for each in found.prerequisites] == ["base"]
    assert gives(converted, x="a") == "#f00"
    assert gives(converted) == "#00f"


@pytest.mark.parametrize(
    ("given", "path"),
    [
        (feature({"name": "custom"}), "features[0].strategies[0].name"),
        (
            feature({"name": "gradualRolloutRandom", "parameters": {"percentage": 5}}),
            "features[0].strategies[0]",
        ),
        (
            feature({"name": "flexibleRollout", "parameters": {"rollout": "many"}}),
            "features[0].strategies[0].parameters.rollout",
        ),
        (feature(strategy(segments=[5])), "features[0].strategies[0].segments"),
        (
            feature(strategy(constraint("x", "NUM_EQ", value="five"))),
            "features[0].strategies[0].constraints[0].value",
        ),
        (
            feature(strategy(constraint("x", "LIKE"))),
            "features[0].strategies[0].constraints[0].operator",
        ),
        (
            feature(
                strategy(constraint("currentTime", "DATE_AFTER", value="2026-01-01T00:00:00Z"))
            ),
            "features[0].strategies[0].constraints[0].contextName",
        ),
        (
            feature(strategy(constraint("", "IN"))),
            "features[0].strategies[0].constraints[0].contextName",
        ),
        (feature(strategy(constraint("x", "REGEX", value="("))), "features[0]"),
        (feature(HALF, {**HALF, "constraints": [constraint("x", "IN")]}), "features[0].strategies"),
        (feature({**HALF, "variants": [RED]}, strategy()), "features[0].strategies"),
        (feature(variants=[{**RED, "overrides": [{}]}]), "features[0].variants[0].overrides"),
        (feature(variants=[{"weight": 1}]), "features[0].variants[0]"),
        (feature(strategy(variants=[RED]), variants=[{"name": "red"}]), "features[0].variants[1]"),
        (
            feature(variants=[{"name": "a", "payload": {"type": "number", "value": "x"}}]),
            "features[0].variants",
        ),
        (
            feature(variants=[{"name": "a", "payload": {"type": "json", "value": "[1]"}}]),
            "features[0].variants",
        ),
        (
            feature(variants=[{"name": "a", "payload": {"type": "json", "value": "{"}}]),
            "features[0].variants",
        ),
        (
            feature(
                {**HALF, "parameters": {"rollout": 5, "stickiness": "a"}},
                variants=[RED, BLUE],
            ),
            "features[0].variants",
        ),
        (
            feature(strategy(constraint("x", "IN", "a"), variants=[RED]), strategy()),
            "features[0].strategies",
        ),
    ],
    ids=lambda value: None,
)
def test_a_feature_that_has_no_equal_is_left_out(given: dict[str, Any], path: str) -> None:
    converted = read(given)

    assert converted.given == []
    assert [(note.path, note.left_out) for note in converted.notes] == [(path, True)]


def test_what_asks_for_something_that_is_left_out_is_left_out() -> None:
    converted = read(
        {**feature(dependencies=[{"feature": "b"}], variants=[RED]), "name": "a"},
        {**feature(dependencies=[{"feature": "c"}]), "name": "b"},
        {**feature({"name": "custom"}), "name": "c"},
        feature(strategy(segments=[1])),
        {**feature(), "name": "fine"},
        segments=[{"id": 1, "name": "odd", "constraints": [constraint("x", "LIKE")]}],
    )

    assert [note.flag for note in converted.notes] == ["segment odd", "a", "c", "new", "b"]
    details = [note.detail for note in converted.notes]
    assert details[1] == "a feature that depends on others can have none below it"
    assert details[-1] == "it asks for c, which is left out"
    assert len(converted.given) == 1


@pytest.mark.parametrize(
    "value",
    [
        *([], {}, {"features": {}}, {"features": [5]}, {"features": [{}]}),
        {"features": [], "segments": [{"name": "a"}]},
        {"features": [], "featureStrategies": {}},
    ],
    ids=str,
)
def test_what_is_no_export_is_refused(value: Any) -> None:
    with pytest.raises(InvalidError):
        unleash.read(value, "production")
