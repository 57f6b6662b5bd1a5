"""flagd's definitions: what becomes of them here does what flagd's own evaluator does, and the other way round."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

from flags_svc.conversion import flagd, flagd_export
from flags_svc.conversion.outcome import ANOTHER_HASH, DRAWN_ANEW, Converted
from flags_svc.domain.bulk import import_items
from flags_svc.domain.projection import project_world
from tests.flags_svc.worlds import after, by_segment, flag, rolled, segment, world
from windsock.flags.definition import Flag, FlagSet, Split
from windsock.flags.evaluation import compile_set
from windsock_kit.errors import InvalidError

VARIANTS = {"red": "r", "blue": "b", "grey": "g"}
TEXTS = st.sampled_from(["a", "b", "ab"])
ATTRIBUTES = st.sampled_from([{"var": "x"}, {"var": "y"}, {"var": ["x"]}])


def definition(targeting: Any = None, **fields: Any) -> dict[str, Any]:
    given = {"state": "ENABLED", "variants": VARIANTS, "defaultVariant": "grey", **fields}
    return {"flags": {"colour": given if targeting is None else {**given, "targeting": targeting}}}


def ours(value: dict[str, Any], key: str, context: dict[str, Any]) -> object:
    converted = flagd.read(value, "production")
    assert [note for note in converted.notes if note.left_out] == []
    made = project_world(after(world(), import_items(converted.given)), "production")
    return compile_set(made)[key].evaluate("ann", context).value


def theirs(value: dict[str, Any], key: str, context: dict[str, Any]) -> object:
    core = FlagdCore()
    core.set_flags(deepcopy(value))
    return core.resolve_string_value(key, "default", EvaluationContext("ann", context)).value


# A text held against a number is converted by JSONLogic, and is not here: each attribute has its type.
CONDITIONS = st.recursive(
    st.one_of(
        st.tuples(ATTRIBUTES, TEXTS).map(lambda both: {"===": [*both]}),
        st.tuples(ATTRIBUTES, TEXTS).map(lambda both: {"!==": [both[1], both[0]]}),
        st.tuples(ATTRIBUTES, TEXTS).map(lambda both: {"starts_with": [*both]}),
        st.tuples(ATTRIBUTES, TEXTS).map(lambda both: {"ends_with": [*both]}),
        st.tuples(ATTRIBUTES, TEXTS).map(lambda both: {"in": [both[1], both[0]]}),
        st.tuples(ATTRIBUTES, st.lists(TEXTS)).map(lambda both: {"in": [*both]}),
        ATTRIBUTES,
        st.booleans(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda each: {"and": each}),
        st.lists(inner, min_size=1, max_size=3).map(lambda each: {"or": each}),
        inner.map(lambda each: {"!": [each]}),
        inner.map(lambda each: {"!!": [each]}),
        st.lists(inner, min_size=2, max_size=5).map(lambda each: {"if": each}),
    ),
    max_leaves=6,
)
RESULTS = st.recursive(
    st.sampled_from(["red", "blue", "grey", None]),
    lambda inner: st.lists(st.tuples(CONDITIONS, inner), min_size=1, max_size=3).flatmap(
        lambda branches: inner.map(
            lambda rest: {"if": [*(part for branch in branches for part in branch), rest]}
        )
    ),
    max_leaves=4,
)
TEXT_CONTEXTS = st.dictionaries(st.sampled_from(["x", "y"]), TEXTS)


@settings(max_examples=150, deadline=None)
@given(RESULTS, TEXT_CONTEXTS)
def test_targeting_gives_what_flagd_gives(targeting: Any, context: dict[str, Any]) -> None:
    value = definition(targeting if isinstance(targeting, dict) else {"if": [targeting]})

    assert ours(value, "colour", context) == theirs(value, "colour", context)


@pytest.mark.parametrize("name", ["<", "<=", ">", ">="])
@pytest.mark.parametrize("turned", [False, True], ids=["first", "second"])
@pytest.mark.parametrize("bound", [-2, 0, 1.5])
def test_numbers_are_compared_as_in_flagd(name: str, turned: bool, bound: float) -> None:
    both = [bound, {"var": "x"}] if turned else [{"var": "x"}, bound]
    value = definition({"if": [{name: both}, "red", "blue"]})

    for context in ({}, *({"x": number} for number in (-3, -2, 0, 1, 1.5, 7))):
        assert ours(value, "colour", context) == theirs(value, "colour", context)


def test_a_number_lies_between_two_as_in_flagd() -> None:
    value = definition({"if": [{"<=": [1, {"var": "x"}, 5]}, "red", "blue"]})

    for context in ({}, *({"x": number} for number in (0, 1, 3, 5, 6))):
        assert ours(value, "colour", context) == theirs(value, "colour", context)


@pytest.mark.parametrize("operator", ["=", "!=", "<", "<=", ">", ">=", "^", "~"])
@pytest.mark.parametrize("version", ["1.2.3", "v1.2", "0.3.1", "2.0.0-rc.1"])
def test_versions_are_compared_as_in_flagd(operator: str, version: str) -> None:
    value = definition({"if": [{"sem_ver": [{"var": "x"}, operator, version]}, "red", "blue"]})

    found = ["1.2.3", "1.2.0", "1.2.9-beta", "1.3.0", "2.0.0", "2.0.0-rc.2", "0.3.0", "v1.2", "0.4"]
    for context in ({}, *({"x": each} for each in found)):
        assert ours(value, "colour", context) == theirs(value, "colour", context)


@pytest.mark.parametrize("name", ["==", "===", "!=", "!=="])
def test_what_is_nothing_is_not_there(name: str) -> None:
    value = definition({"if": [{name: [{"var": "x"}, None]}, "red", "blue"]})

    for context in ({}, {"x": "a"}, {"x": ""}):
        assert ours(value, "colour", context) == theirs(value, "colour", context)


def test_shared_evaluators_are_looked_up() -> None:
    value = {
        **definition({"if": [{"$ref": "staff"}, "red", None]}),
        "$evaluators": {"staff": {"ends_with": [{"var": "email"}, "@example.org"]}},
    }

    assert ours(value, "colour", {"email": "ann@example.org"}) == "r"
    assert ours(value, "colour", {}) == "g"


@pytest.mark.parametrize(
    ("unit", "bucket_by", "salt"),
    [
        ([], "targetingKey", None),
        ([{"cat": [{"var": "$flagd.flagKey"}, {"var": "email"}]}], "email", None),
        ([{"cat": ["round 2", {"var": "targetingKey"}]}], "targetingKey", "round 2"),
        ([{"var": "email"}], "email", "flagd"),
    ],
    ids=["none", "attribute", "salt", "bare"],
)
def test_shares_keep_their_size(unit: list[Any], bucket_by: str, salt: str | None) -> None:
    value = definition({"fractional": [*unit, ["red", 25], ["blue", 75], ["grey"]]})

    converted = flagd.read(value, "production")

    made = converted.given[0].item
    assert made.environments["production"].fallthrough == Split({"red": 25, "blue": 75, "grey": 1})  # type: ignore[union-attr]  # It is a flag.
    assert (made.bucket_by, made.salt) == (bucket_by, salt)  # type: ignore[union-attr]  # As above.
    assert [note.detail for note in converted.notes] == [DRAWN_ANEW]


def test_a_condition_by_itself_names_the_variant() -> None:
    value = definition(
        {"===": [{"var": "x"}, "a"]}, variants={"true": "yes", "false": "no"}, defaultVariant=False
    )

    assert ours(value, "colour", {"x": "a"}) == theirs(value, "colour", {"x": "a"}) == "yes"
    assert ours(value, "colour", {}) == theirs(value, "colour", {}) == "no"


def test_what_is_disabled_stays_so() -> None:
    converted = flagd.read(definition(state="DISABLED", metadata={"team": "a"}), "production")

    assert ours(definition(state="DISABLED"), "colour", {}) == "g"
    assert converted.document() == {
        "converted": 1,
        "left_out": [],
        "different": [
            {
                "path": "flags.colour",
                "flag": "colour",
                "detail": "while disabled it gives 'grey', and not the caller's own default",
            },
            {"path": "flags.colour", "flag": "colour", "detail": "metadata is not carried over"},
        ],
    }


X = {"var": "x"}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"defaultVariant": None}, "flags.colour.defaultVariant"),
        ({"defaultVariant": "pink"}, "flags.colour.defaultVariant"),
        ({"variants": {"grey": 1, "red": "r"}}, "flags.colour.variants"),
        ({"variants": {"grey": []}}, "flags.colour.variants"),
        ({"targeting": {"if": [{"+": [1, 2]}, "red"]}}, "flags.colour.targeting.if[0].+"),
        ({"targeting": {"if": [True, "pink"]}}, "flags.colour.targeting.if[1]"),
        ({"targeting": {"==": [X, 1]}}, "flags.colour.targeting.=="),
        ({"targeting": {"if": [{"==": [X]}, "red"]}}, "flags.colour.targeting.if[0].=="),
        ({"targeting": {"if": [{"==": [X, [1]]}, "red"]}}, "flags.colour.targeting.if[0].=="),
        ({"targeting": {"if": [{"==": [X, X]}, "red"]}}, "flags.colour.targeting.if[0].=="),
        ({"targeting": {"if": [{"<": [X, "b"]}, "red"]}}, "flags.colour.targeting.if[0].<"),
        ({"targeting": {"if": [{"in": [X, "abc"]}, "red"]}}, "flags.colour.targeting.if[0].in"),
        ({"targeting": {"if": [{"in": [X, [[]]]}, "red"]}}, "flags.colour.targeting.if[0].in"),
        ({"targeting": {"if": [{"!": [X, X]}, "red"]}}, "flags.colour.targeting.if[0].!"),
        ({"targeting": {"if": [{"a": 1, "b": 2}, "red"]}}, "flags.colour.targeting.if[0]"),
        ({"targeting": {"if": [{"var": ["x", 5]}, "red"]}}, "flags.colour.targeting.if[0].var"),
        (
            {"targeting": {"if": [{"<": [{"var": "$flagd.timestamp"}, 5]}, "red"]}},
            "flags.colour.targeting.if[0].<",
        ),
        (
            {"targeting": {"if": [{"sem_ver": [X, "<>", "1.0.0"]}, "red"]}},
            "flags.colour.targeting.if[0].sem_ver",
        ),
        (
            {"targeting": {"if": [{"sem_ver": [X, "^", "one"]}, "red"]}},
            "flags.colour.targeting.if[0].sem_ver",
        ),
        (
            {"targeting": {"if": [{"sem_ver": [X, "^"]}, "red"]}},
            "flags.colour.targeting.if[0].sem_ver",
        ),
        (
            {"targeting": {"if": [{"sem_ver": [X, "<", "one"]}, "red"]}},
            "flags.colour",
        ),
        ({"targeting": {"if": [{"$ref": "gone"}, "red"]}}, "flags.colour.targeting.if[0]"),
        (
            {"targeting": {"fractional": [{"+": [1]}, ["red", 1]]}},
            "flags.colour.targeting.fractional[0]",
        ),
        (
            {"targeting": {"fractional": [{"cat": [X, X]}, ["red", 1]]}},
            "flags.colour.targeting.fractional[0]",
        ),
        ({"targeting": {"fractional": [["red", 1.5]]}}, "flags.colour.targeting.fractional[0]"),
        ({"targeting": {"fractional": [["red"], 5]}}, "flags.colour.targeting.fractional[1]"),
        ({"targeting": {"fractional": [["red"], ["red"]]}}, "flags.colour.targeting.fractional[1]"),
        (
            {"targeting": {"if": [X, {"fractional": [["red"]]}, {"fractional": [X, ["red"]]}]}},
            "flags.colour.targeting.if[2].fractional[0]",
        ),
    ],
    ids=lambda value: None,
)
def test_a_flag_that_has_no_equal_is_left_out(fields: dict[str, Any], path: str) -> None:
    converted = flagd.read(definition(**fields), "production")

    assert converted.given == []
    assert [(note.path, note.left_out) for note in converted.notes] == [(path, True)]


def test_what_refers_to_itself_ends() -> None:
    value = {**definition({"if": [{"$ref": "a"}, "red"]}), "$evaluators": {"a": {"$ref": "a"}}}
    deep: Any = "red"
    for _ in range(28):
        deep = {"if": [True, deep]}
    negated: Any = X
    for _ in range(28):
        negated = {"!": negated}

    for given_ in (value, definition(deep), definition({"if": [negated, "red"]})):
        assert [note.left_out for note in flagd.read(given_, "production").notes] == [True]


def test_a_key_that_is_none_here_is_left_out() -> None:
    value = {"flags": {key: definition()["flags"]["colour"] for key in ("a/b", "stale", "good")}}

    converted = flagd.read(value, "production")

    assert [note.flag for note in converted.notes] == ["a/b", "stale"]
    assert len(converted.given) == 1


@pytest.mark.parametrize("value", [[], {}, {"flags": []}, {"flags": {}, "$evaluators": 5}], ids=str)
def test_what_is_no_definition_is_refused(value: Any) -> None:
    with pytest.raises(InvalidError):
        flagd.read(value, "production")


def exported(*items: Any) -> tuple[dict[str, Any], list[Any]]:
    return flagd_export.write(project_world(world(*items), "production"))


def serve(when: dict[str, Any]) -> dict[str, Any]:
    return {"when": when, "serve": {"variant": "on"}}


ONLY_TEXTS = {"contains", "semver_less_than"}
OURS = [
    {"attribute": "x", "operator": "equals", "value": "a"},
    {"attribute": "x", "operator": "in", "values": ["a", 2], "negate": True},
    {"attribute": "x", "operator": "exists"},
    {"attribute": "x", "operator": "exists", "negate": True},
    {"attribute": "x", "operator": "less_than", "value": 1},
    {"attribute": "x", "operator": "greater_or_equal", "values": [2, 3], "negate": True},
    {"attribute": "x", "operator": "starts_with", "values": ["a", "b"]},
    {"attribute": "x", "operator": "contains", "value": "b"},
    {"attribute": "x", "operator": "contains", "values": []},
    {"attribute": "x", "operator": "semver_less_than", "value": "1.3.0"},
    {"all": [{"segment": "staff"}, {"not": {"any": []}}]},
    {"not": {"segment": "nobody"}},
    {"all": []},
]


@pytest.mark.parametrize("when", OURS, ids=str)
def test_what_is_exported_gives_in_flagd_what_it_gives_here(when: dict[str, Any]) -> None:
    items: list[Any] = [
        segment(included=["ann"], excluded=["bob"], when=OURS[0]),
        segment("nobody"),
        rolled(rules=[serve(when)], fallthrough={"variant": "off"}),
    ]
    compiled = compile_set(project_world(world(*items), "production"))
    core = FlagdCore()
    core.set_flags(exported(*items)[0])

    for context in ({}, *({"x": each} for each in ("a", "b", "abc", "1.2.0", 0, 2, 5))):
        for user in ("ann", "bob", "cid"):
            # There a number is a text, and a version, too.
            if isinstance(context.get("x"), int) and when.get("operator") in ONLY_TEXTS:
                continue
            found = core.resolve_boolean_value("new", False, EvaluationContext(user, context))
            assert found.value is compiled["new"].evaluate(user, context).value


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"enabled": False}, {"defaultVariant": "off"}),
        ({"fallthrough": {"variant": "on"}}, {"defaultVariant": "on"}),
        (
            {"fallthrough": {"split": {"on": 1, "off": 3}}},
            {
                "defaultVariant": "off",
                "targeting": {
                    "fractional": [
                        {"cat": [{"var": "$flagd.flagKey"}, {"var": "targetingKey"}]},
                        ["on", 1],
                        ["off", 3],
                    ]
                },
            },
        ),
        (
            {"fallthrough": {"rollout": {"percentage": 25, "variant": "on"}}},
            {
                "defaultVariant": "off",
                "targeting": {
                    "fractional": [
                        {"cat": [{"var": "$flagd.flagKey"}, {"var": "targetingKey"}]},
                        ["on", 25_000],
                        ["off", 75_000],
                    ]
                },
            },
        ),
        (
            {
                "targets": [{"variant": "off", "keys": ["bob", "ann"]}],
                "fallthrough": {"rollout": {"percentage": 0, "variant": "on", "otherwise": "on"}},
            },
            {
                "defaultVariant": "on",
                "targeting": {
                    "if": [{"in": [{"var": "targetingKey"}, ["ann", "bob"]]}, "off", "on"]
                },
            },
        ),
        (
            {"fallthrough": {"rollout": {"percentage": 100, "variant": "on"}}},
            {"defaultVariant": "on"},
        ),
        (
            {"fallthrough": {"rollout": {"percentage": 100, "split": {"on": 1}}}},
            {
                "defaultVariant": "off",
                "targeting": {
                    "fractional": [
                        {"cat": [{"var": "$flagd.flagKey"}, {"var": "targetingKey"}]},
                        ["on", 1],
                    ]
                },
            },
        ),
    ],
    ids=["disabled", "variant", "split", "rollout", "nobody", "everybody", "everybody split"],
)
def test_what_users_get_is_exported(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    document, _ = exported(rolled(**fields))

    assert document["flags"]["new"] == {
        "state": "ENABLED",
        "variants": {"on": True, "off": False},
        **expected,
    }


@pytest.mark.parametrize(
    "item",
    [
        rolled(rules=[serve({"attribute": "x", "operator": "matches", "value": "a"})]),
        rolled(
            rules=[
                serve({"attribute": "x", "operator": "equals", "value": "a", "ignore_case": True})
            ]
        ),
        rolled(fallthrough={"rollout": {"percentage": 50, "split": {"on": 30_000, "off": 1}}}),
        flag(prerequisites=[{"flag": "other", "variants": ["on"]}]),
    ],
    ids=["operator", "case", "weights", "prerequisite"],
)
def test_what_flagd_cannot_say_is_left_out(item: Any) -> None:
    document, notes = exported(item, flag("other"))

    assert [*document["flags"]] == ["other"]
    assert [(note.flag, note.left_out) for note in notes] == [("new", True)]


def test_what_differs_is_told_once() -> None:
    split = {"split": {"on": 1, "off": 1}}

    _, notes = exported(
        rolled(rules=[{**by_segment("staff"), "serve": split}], fallthrough=split), segment()
    )

    assert [note.detail for note in notes] == [ANOTHER_HASH]


def test_what_is_left_to_the_caller_is_left_out() -> None:
    document, notes = flagd_export.write(FlagSet({"a": Flag("a", "boolean", {"on": True})}))

    assert document["flags"] == {}
    assert notes[0].left_out


def test_nothing_is_lost_on_the_way_there_and_back() -> None:
    items = [segment(included=["ann"]), rolled(rules=[by_segment("staff")])]
    converted: Converted = flagd.read(exported(*items)[0], "production")

    assert [note for note in converted.notes if note.left_out] == []
