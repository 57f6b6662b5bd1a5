import json
from typing import Any

import pytest

from windsock.flags.definition import (
    All,
    Condition,
    Flag,
    InSegment,
    Prerequisite,
    Rollout,
    Rule,
    Segment,
    Split,
    Target,
)
from windsock.flags.reading import (
    InvalidFlagsError,
    clause_of,
    flag_of,
    read_document,
    segment_of,
    serve_of,
)


def flag(**changes: object) -> dict[str, Any]:
    usual = {
        "key": "f",
        "type": "boolean",
        "variants": {"on": True, "off": False},
        "off_variant": "off",
        "fallthrough": {"variant": "on"},
    }
    return {name: value for name, value in {**usual, **changes}.items() if value is not ...}


def ruled(key: str, segment: str) -> dict[str, Any]:
    return flag(key=key, rules=[{"when": {"segment": segment}, "serve": {"variant": "on"}}])


def after(key: str, other: str) -> dict[str, Any]:
    return flag(key=key, prerequisites=[{"flag": other, "variants": ["on"]}])


def segment(key: str, other: str) -> dict[str, Any]:
    return {"key": key, "when": {"not": {"segment": other}}}


def document(flags: list[dict[str, Any]], segments: list[dict[str, Any]]) -> bytes:
    return json.dumps({"flags": flags, "segments": segments}).encode()


def test_every_field_is_read() -> None:
    text = json.dumps(
        {
            "flags": [
                flag(),
                flag(
                    key="threshold",
                    type="float",
                    enabled=False,
                    variants={"strict": 0.7, "relaxed": 1},
                    off_variant="strict",
                    fallthrough={"split": {"strict": 0, "relaxed": 3}},
                    salt="autumn",
                    description="how alike a found question must be",
                ),
                {"key": "bare", "type": "object", "variants": {"given": {"a": [1]}}},
            ]
        }
    )

    assert read_document(text.encode()).flags == {
        "f": Flag(
            key="f",
            type="boolean",
            variants={"on": True, "off": False},
            off_variant="off",
            fallthrough="on",
        ),
        "threshold": Flag(
            key="threshold",
            type="float",
            enabled=False,
            variants={"strict": 0.7, "relaxed": 1.0},
            off_variant="strict",
            fallthrough=Split({"strict": 0, "relaxed": 3}),
            salt="autumn",
        ),
        "bare": Flag(key="bare", type="object", variants={"given": {"a": [1]}}),
    }


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"key": ...}, "flags[0].key: is missing"),
        ({"key": ""}, "flags[0].key: must be a text of 1 to 200 characters"),
        ({"key": "k" * 201}, "flags[0].key: must be a text"),
        ({"key": "\ud800"}, "flags[0].key: must be a text"),
        ({"type": "number"}, "flags[0].type: must be one of boolean, string, integer, float"),
        ({"type": []}, "flags[0].type: must be one of"),
        ({"enabled": 1}, "flags[0].enabled: must be true or false"),
        ({"variants": []}, "flags[0].variants: must be an object"),
        ({"variants": {}}, "flags[0].variants: must have at least one variant"),
        ({"variants": {"on": 1}}, "flags[0].variants.on: must be of type boolean"),
        ({"variants": {"on": None}}, "flags[0].variants.on: must be of type boolean"),
        ({"type": "integer"}, "flags[0].variants.on: must be of type integer"),
        ({"type": "integer", "variants": {"on": 10.0}}, "flags[0].variants.on: must be of type"),
        ({"type": "float", "variants": {"on": 10**400}}, "flags[0].variants.on: must be of type"),
        ({"off_variant": "of"}, "flags[0].off_variant: 'of' is none of the variants on, off"),
        ({"fallthrough": {}}, "flags[0].fallthrough: must have either variant or split"),
        ({"fallthrough": "on"}, "flags[0].fallthrough: must be an object"),
        ({"fallthrough": {"variant": 1}}, "flags[0].fallthrough.variant: 1 is none of"),
        ({"fallthrough": {"rollout": 1}}, "flags[0].fallthrough.rollout: must be an object"),
        ({"fallthrough": {"split": {"no": 1}}}, "flags[0].fallthrough.split: 'no' is none of"),
        ({"fallthrough": {"split": {"on": -1}}}, "flags[0].fallthrough.split.on: must be a whole"),
        ({"fallthrough": {"split": {"on": 1.5}}}, "flags[0].fallthrough.split.on: must be a whole"),
        ({"fallthrough": {"split": {"on": True}}}, "flags[0].fallthrough.split.on: must be a whol"),
        ({"fallthrough": {"split": {"on": 0}}}, "flags[0].fallthrough.split: must add up to 1 to"),
        ({"fallthrough": {"split": {"on": 1 << 31}}}, "flags[0].fallthrough.split: must add up"),
        ({"salt": 7}, "flags[0].salt: must be a text"),
        ({"description": 7}, "flags[0].description: must be a text"),
        ({"targeting": []}, "flags[0].targeting: is not known"),
        ({"type": "integer", "variants": {"on": 1 << 53}}, "flags[0].variants.on: must be of type"),
        ({"type": "string", "variants": {"on": "\ud800"}}, "flags[0].variants.on: must be of ty"),
        ({"type": "string", "variants": {"on": "\x00"}}, "flags[0].variants.on: must be of type"),
        ({"type": "object", "variants": {"on": {"a": ["\x00"]}}}, "flags[0].variants.on: must be"),
        ({"type": "object", "variants": {"on": {"\x00": 1}}}, "flags[0].variants.on: must be of"),
        ({"type": "object", "variants": {"on": {"a": 1 << 60}}}, "flags[0].variants.on: must be"),
        ({"variants": dict.fromkeys(map(str, range(1_001)), True)}, "flags[0].variants: must have"),
        ({"bucket_by": ""}, "flags[0].bucket_by: must be a text"),
        ({"rollout_salt": ""}, "flags[0].rollout_salt: must be a text"),
        ({"rules": {}}, "flags[0].rules: must be a list"),
        ({"rules": [{}]}, "flags[0].rules[0].when: is missing"),
        ({"rules": [7] * 1_001}, "flags[0].rules: must have at most 1000 elements"),
        ({"targets": [{"variant": "on"}]}, "flags[0].targets[0].keys: is missing"),
        ({"targets": [{"variant": "on", "keys": [1]}]}, "flags[0].targets[0].keys[0]: must be a"),
        ({"targets": [{"variant": "o", "keys": []}]}, "flags[0].targets[0].variant: 'o' is none"),
        ({"prerequisites": [{"flag": "g"}]}, "flags[0].prerequisites[0].variants: is missing"),
        (
            {"prerequisites": [{"flag": "g", "variants": []}]},
            "flags[0].prerequisites[0].variants: must have at least one",
        ),
        (
            {"rules": [{"when": {"any": [{}]}, "serve": {}}]},
            "flags[0].rules[0].when.any[0].attribute: is missing",
        ),
        (
            {"rules": [{"when": {"any": []}, "serve": {"split": {"on": 1}, "variant": "on"}}]},
            "flags[0].rules[0].serve: must have either variant or split or rollout",
        ),
    ],
    ids=str,
)
def test_a_mistake_is_named_with_its_path(changes: dict[str, object], complaint: str) -> None:
    text = json.dumps({"flags": [flag(**changes)]})

    with pytest.raises(InvalidFlagsError) as raised:
        read_document(text.encode())

    assert str(raised.value).startswith(complaint)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"", "is no JSON: Expecting value: line 1 column 1"),
        (b'{"flags": [', "is no JSON: Expecting value"),
        (b"\xff\xfe\xfa", "is no JSON: "),
        (b"[" * 100_000, "is no JSON: "),
        (b"[]", "must be an object"),
        (b"{}", "flags: is missing"),
        (b'{"flags": {}}', "flags: must be a list"),
        (b'{"flags": [7]}', "flags[0]: must be an object"),
        (b'{"flags": [], "version": 1}', "version: is not known"),
        (b'{"flags": [], "flags": []}', "the name 'flags' is twice in one object"),
        (b'{"flags": [NaN]}', "NaN is no number of JSON"),
        (json.dumps({"flags": [flag(), flag()]}).encode(), "flags[1].key: 'f' is there twice"),
        (
            b'{"flags": [{"key": "f", "type": "float", "variants": {"on": 1e999}}]}',
            "flags[0].variants.on: must be of type float",
        ),
        (b'{"flags": [' + b"9" * 5_000 + b"]}", "is no JSON: Exceeds the limit"),
        (b'{"flags": [], "segments": {}}', "segments: must be a list"),
        (b'{"flags": [], "segments": [{"key": "s"}, {"key": "s"}]}', "segments[1].key: 's' is the"),
        (document([], [segment("s", "t")]), "segments[0].when: there is no segment 't'"),
        (document([ruled("f", "s")], []), "flags[0].rules: there is no segment 's'"),
        (document([], [segment("s", "s")]), "segments: s go in a circle"),
        (document([], [segment("a", "b"), segment("b", "a")]), "segments: a, b go in a circle"),
        (document([after("f", "f")], []), "flags: the prerequisites of f go in a circle"),
        (
            document([after("f", "g"), after("g", "h"), after("h", "f")], []),
            "flags: the prerequisites of f, g, h go in a circle",
        ),
    ],
    ids=range(22),
)
def test_a_file_that_is_no_list_of_flags_is_refused(text: bytes, complaint: str) -> None:
    with pytest.raises(InvalidFlagsError) as raised:
        read_document(text)

    assert str(raised.value).startswith(complaint)


def test_all_that_a_flag_can_do_is_read() -> None:
    read = flag_of(
        flag(
            prerequisites=[{"flag": "other", "variants": ["a", "b"]}],
            targets=[{"variant": "off", "keys": ["u-1", "u-2"]}],
            rules=[
                {
                    "name": "insiders",
                    "when": {
                        "all": [
                            {"segment": "staff"},
                            {"attribute": "age", "operator": "less_than", "value": 3.5},
                            {
                                "attribute": "plan",
                                "operator": "in",
                                "values": ["pro", 1, True],
                                "negate": True,
                                "ignore_case": True,
                            },
                        ]
                    },
                    "serve": {
                        "rollout": {
                            "percentage": 12.345,
                            "split": {"on": 1, "off": 2},
                            "otherwise": "off",
                        }
                    },
                }
            ],
            rollout_salt="spring",
            bucket_by="company.id",
        ),
        "f",
    )

    assert read == Flag(
        "f",
        "boolean",
        {"on": True, "off": False},
        off_variant="off",
        fallthrough="on",
        prerequisites=(Prerequisite("other", frozenset({"a", "b"})),),
        targets=(Target("off", frozenset({"u-1", "u-2"})),),
        rules=(
            Rule(
                All(
                    (
                        InSegment("staff"),
                        Condition("age", "less_than", (3.5,)),
                        Condition("plan", "in", ("pro", 1, True), True, True),
                    )
                ),
                Rollout(12_345, Split({"on": 1, "off": 2}), "off"),
                "insiders",
            ),
        ),
        rollout_salt="spring",
        bucket_by="company.id",
    )


def test_a_segment_is_read() -> None:
    read = segment_of(
        {
            "key": "staff",
            "description": "who works here",
            "included": ["u-1"],
            "excluded": ["u-2"],
            "when": {"any": []},
        },
        "",
    )

    assert (read.included, read.excluded) == (frozenset({"u-1"}), frozenset({"u-2"}))
    assert read.description == "who works here"
    assert segment_of({"key": "none"}, "") == Segment("none")


CONDITION: dict[str, Any] = {"attribute": "x", "operator": "equals", "value": "a"}


def condition(**changes: object) -> dict[str, Any]:
    return {name: value for name, value in {**CONDITION, **changes}.items() if value is not ...}


def nested(depth: int) -> dict[str, Any]:
    clause = condition()
    for _ in range(depth):
        clause = {"not": clause}
    return clause


@pytest.mark.parametrize(
    ("clause", "complaint"),
    [
        (None, "when: must be an object"),
        ({}, "when.attribute: is missing"),
        (condition(attribute=5), "when.attribute: must be a text"),
        (condition(attribute=""), "when.attribute: must be a text of 1 to 200 characters"),
        (condition(operator="equal"), "when.operator: must be one of equals, in, contains"),
        (condition(operator=[]), "when.operator: must be one of"),
        (condition(value=...), "when: must have either value or values"),
        (condition(values=[]), "when: must have either value or values"),
        (condition(value=None), "when.value: must be a text, a number or a boolean"),
        (condition(value=[]), "when.value: must be a text, a number or a boolean"),
        (condition(value=float("nan")), "when.value: must be a finite number"),
        (condition(value="\x00"), "when.value: must be a text of 1 to 10000"),
        (condition(value="a" * 10_001), "when.value: must be a text of 1 to 10000"),
        (condition(value=..., values="ab"), "when.values: must be a list"),
        (condition(value=..., values=[1] * 10_001), "when.values: must have at most 10000"),
        (condition(value=..., values=["a", {}]), "when.values[1]: must be a text, a number"),
        (condition(operator="contains", value=5), "when.value: must be a text"),
        (condition(operator="less_than", value="5"), "when.value: must be a number"),
        (condition(operator="less_than", value=True), "when.value: must be a number"),
        (condition(operator="before", value="soon"), "when.value: must be a time"),
        (condition(operator="before", value=float("inf")), "when.value: must be a time"),
        (condition(operator="semver_caret", value="1.x"), "when.value: must be a version"),
        (condition(operator="in_cidr", value="10.0.0.0/33"), "when.value: must be a network"),
        (condition(operator="exists"), "when.value: exists takes no values"),
        (condition(operator="exists", value=..., values=[]), "when.values: exists takes no"),
        (condition(negate=1), "when.negate: must be true or false"),
        (condition(ignore_case="yes"), "when.ignore_case: must be true or false"),
        (
            condition(operator="less_than", value=5, ignore_case=True),
            "when.ignore_case: less_than has no case to ignore",
        ),
        (condition(invert=True), "when.invert: is not known"),
        ({"all": {}}, "when.all: must be a list"),
        (
            {"all": [], "any": []},
            "when.any: cannot stand beside all; all, any and not combine clauses",
        ),
        (condition(segment="s"), "when.attribute: cannot stand beside segment"),
        ({"any": [condition(), {"not": []}]}, "when.any[1].not: must be an object"),
        ({"segment": 5}, "when.segment: must be a text"),
        (nested(11), "when" + ".not" * 11 + ": is nested more than 10 deep"),
        (nested(100_000), "when" + ".not" * 11 + ": is nested more than 10 deep"),
        ({"all": [condition()] * 1_000}, "when: must have at most 1000 clauses"),
        ({"x" * 1_000_000: 1}, "when." + "x" * 200 + ": is not known"),
    ],
    ids=range(38),
)
def test_a_mistake_in_a_clause_is_named_with_its_path(clause: object, complaint: str) -> None:
    with pytest.raises(InvalidFlagsError) as raised:
        clause_of(clause, "when")

    assert str(raised.value).startswith(complaint)
    assert raised.value.path == complaint.partition(":")[0]


def test_a_clause_may_be_as_deep_and_wide_as_is_said() -> None:
    clause_of(nested(10), "when")
    clause_of({"all": [condition()] * 999}, "when")
    clause_of(condition(value=..., values=["a"] * 10_000), "when")


@pytest.mark.parametrize(
    ("rollout", "complaint"),
    [
        ({"variant": "on"}, "serve.rollout.percentage: is missing"),
        ({"percentage": 5}, "serve.rollout: must have either variant or split"),
        ({"percentage": 5, "variant": "on", "split": {"on": 1}}, "serve.rollout: must have either"),
        ({"percentage": "5", "variant": "on"}, "serve.rollout.percentage: must be a number"),
        ({"percentage": True, "variant": "on"}, "serve.rollout.percentage: must be a number"),
        ({"percentage": -0.001, "variant": "on"}, "serve.rollout.percentage: must be a number"),
        ({"percentage": 100.001, "variant": "on"}, "serve.rollout.percentage: must be a number"),
        ({"percentage": 0.0005, "variant": "on"}, "serve.rollout.percentage: must be a number"),
        ({"percentage": float("nan"), "variant": "on"}, "serve.rollout.percentage: must be a num"),
        ({"percentage": 10**400, "variant": "on"}, "serve.rollout.percentage: must be a number"),
        ({"percentage": 5, "variant": "of"}, "serve.rollout.variant: 'of' is none of the variants"),
        ({"percentage": 5, "variant": "on", "otherwise": 1}, "serve.rollout.otherwise: 1 is none"),
        ({"percentage": 5, "split": {"on": -1}}, "serve.rollout.split.on: must be a whole number"),
        ({"percentage": 5, "variant": "on", "rollout": {}}, "serve.rollout.rollout: is not known"),
    ],
    ids=range(14),
)
def test_a_mistake_in_a_rollout_is_named_with_its_path(
    rollout: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidFlagsError) as raised:
        serve_of({"rollout": rollout}, ("on", "off"), "serve")

    assert str(raised.value).startswith(complaint)


@pytest.mark.parametrize("share", [0, 1, 29, 333, 25_000, 33_333, 57_143, 99_999, 100_000])
def test_every_thousandth_of_a_percent_is_read_exactly(share: int) -> None:
    text = f"{share // 1000}.{share % 1000:03}"

    read = serve_of({"rollout": {"percentage": json.loads(text), "variant": "on"}}, ("on",), "")

    assert read == Rollout(share, "on")


def test_a_complaint_tells_what_is_allowed() -> None:
    with pytest.raises(InvalidFlagsError) as raised:
        serve_of({"variant": "of"}, ("on", "off"), "serve")

    assert raised.value.path == "serve.variant"
    assert raised.value.detail == "'of' is none of the variants on, off"
    assert raised.value.allowed == ("on", "off")
