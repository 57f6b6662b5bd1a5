"""Flags, segments and environments as they are written."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from flags_svc.domain.documents import (
    document,
    environment_document,
    environment_item_of,
    flag_of,
    item_document,
    item_of,
    segment_of,
    view,
)
from flags_svc.domain.flag import Environment, Kind, Step
from flags_svc.domain.world import Stored
from tests.flags_svc.worlds import flag, segment
from windsock.flags.definition import Rollout, Split
from windsock_kit.errors import InvalidError

WHOLE: dict[str, Any] = {
    "key": "model",
    "type": "string",
    "kind": "experimental",
    "owner": "search",
    "description": "Which model answers.",
    "tags": ["cost", "quality"],
    "lifetime_days": 20,
    "variants": {"small": "s-1", "large": "l-1"},
    "default_variant": "large",
    "off_variant": "small",
    "prerequisites": [{"flag": "new", "variants": ["on"]}],
    "salt": "a",
    "rollout_salt": "b",
    "bucket_by": "company",
    "archived": False,
    "environments": {
        "production": {
            "enabled": True,
            "targets": [{"variant": "large", "keys": ["ann", "bob"]}],
            "rules": [
                {
                    "name": "staff first",
                    "when": {"all": [{"segment": "staff"}, {"not": {"segment": "guests"}}]},
                    "serve": {"variant": "large"},
                }
            ],
            "fallthrough": {
                "rollout": {
                    "percentage": 0.125,
                    "split": {"small": 1, "large": 3},
                    "otherwise": "small",
                }
            },
            "schedule": [
                {
                    "at": "2026-11-22T14:30:00Z",
                    "percentage": 5,
                    "done_at": "2026-11-22T14:30:00.250Z",
                },
                {"after_seconds": 60, "enabled": False},
            ],
        }
    },
}


def test_a_flag_is_told_as_it_was_written() -> None:
    assert document(flag_of(WHOLE)) == WHOLE
    assert orjson.dumps(document(flag_of(WHOLE))) == orjson.dumps(WHOLE)


def test_a_boolean_needs_to_say_no_more_than_that() -> None:
    found = flag_of({"key": "new", "type": "boolean"})

    assert found.variants == {"on": True, "off": False}
    assert (found.default_variant, found.off_variant) == ("on", "off")
    assert (found.kind, found.lifetime_days, found.archived) == (Kind.ROLLOUT, 40, False)
    assert found.environments == {}


@pytest.mark.parametrize(
    ("kind", "days"),
    [("optimization", 40), ("experimental", 40), ("operational", 7), ("permission", None)],
)
def test_the_lifetime_goes_by_the_kind(kind: str, days: int | None) -> None:
    assert flag(kind=kind).lifetime_days == days
    assert flag(kind=kind, lifetime_days=3).lifetime_days == 3
    assert flag(kind=kind, lifetime_days=None).lifetime_days is None


def test_shares_and_times_are_numbers_inside() -> None:
    found = flag_of(WHOLE).environments["production"]

    assert found.fallthrough == Rollout(125, Split({"small": 1, "large": 3}), "small")
    assert found.schedule == (
        Step(at=1795357800.0, percentage=5_000, done_at=1795357800.25),
        Step(after_seconds=60.0, enabled=False),
    )


def test_what_is_only_told_may_come_back() -> None:
    told = view(Stored(flag(), 3, 7, 100.0, 200.5, "ann"))

    assert told["version"] == 3
    assert told["revision"] == 7
    assert told["created_at"] == "1970-01-01T00:01:40Z"
    assert told["updated_at"] == "1970-01-01T00:03:20.500Z"
    assert told["updated_by"] == "ann"
    assert flag_of(told) == flag()


def test_a_float_keeps_its_point() -> None:
    found = flag_of(
        {
            "key": "threshold",
            "type": "float",
            "variants": {"all": 1, "half": 0.5},
            "default_variant": "all",
            "off_variant": "half",
        }
    )

    assert orjson.dumps(document(found)["variants"]) == b'{"all":1.0,"half":0.5}'


def test_tags_are_named_once() -> None:
    assert flag(tags=["b", "a", "b"]).tags == ("b", "a")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"key": None}, "key"),
    ({"key": "-x"}, "key"),
    ({"key": "a/b"}, "key"),
    ({"key": "x" * 129}, "key"),
    ({"type": "number"}, "type"),
    ({"type": 1}, "type"),
    ({"kind": "other"}, "kind"),
    ({"kind": 1}, "kind"),
    ({"owner": 1}, "owner"),
    ({"description": "x" * 2_001}, "description"),
    ({"description": "\0"}, "description"),
    ({"description": "\ud800"}, "description"),
    ({"tags": "a"}, "tags"),
    ({"tags": [""]}, "tags[0]"),
    ({"tags": ["a"] * 51}, "tags"),
    ({"lifetime_days": 0}, "lifetime_days"),
    ({"lifetime_days": True}, "lifetime_days"),
    ({"variants": []}, "variants"),
    ({"variants": {}}, "variants"),
    ({"variants": {"": True}}, "variants"),
    ({"variants": {"a\n": True}}, "variants"),
    ({"variants": {"on": 1, "off": False}}, "variants.on"),
    ({"variants": {f"v{n}": True for n in range(1_001)}}, "variants"),
    ({"variants": {"a": True}}, "default_variant"),
    ({"variants": {"on": True}}, "off_variant"),
    ({"default_variant": 1}, "default_variant"),
    ({"prerequisites": [{"flag": "a"}]}, "prerequisites[0].variants"),
    ({"prerequisites": {}}, "prerequisites"),
    ({"salt": ""}, "salt"),
    ({"bucket_by": ""}, "bucket_by"),
    ({"archived": "no"}, "archived"),
    ({"colour": "red"}, "colour"),
    ({"environments": []}, "environments"),
    ({"environments": {"Production": {}}}, "environments"),
    ({"environments": {"p": []}}, "environments.p"),
    ({"environments": {"p": {"enabled": 1}}}, "environments.p.enabled"),
    ({"environments": {"p": {"other": 1}}}, "environments.p.other"),
    (
        {"environments": {"p": {"fallthrough": {"variant": "red"}}}},
        "environments.p.fallthrough.variant",
    ),
    (
        {"environments": {"p": {"fallthrough": {"rollout": {"percentage": 101, "variant": "on"}}}}},
        "environments.p.fallthrough.rollout.percentage",
    ),
    ({"environments": {"p": {"schedule": [{"at": "now"}]}}}, "environments.p.schedule[0]"),
]


@pytest.mark.parametrize(
    ("fields", "path"), WRONG, ids=[f"{number} {path}" for number, (_, path) in enumerate(WRONG)]
)
def test_a_mistake_is_told_with_its_place(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidError) as refused:
        flag_of({"key": "new", "type": "boolean", **fields})

    assert refused.value.path == path


@pytest.mark.parametrize("name", ["key", "type"])
def test_a_missing_field_is_told(name: str) -> None:
    fields = {"key": "new", "type": "boolean"}
    del fields[name]

    with pytest.raises(InvalidError) as refused:
        flag_of(fields, "flags[2]")

    assert refused.value.path == f"flags[2].{name}"


def test_only_a_boolean_has_variants_of_its_own() -> None:
    with pytest.raises(InvalidError) as refused:
        flag_of({"key": "new", "type": "string"})

    assert refused.value.path == "variants"


@pytest.mark.parametrize("name", ["default_variant", "off_variant"])
def test_only_a_boolean_chooses_its_variants_by_itself(name: str) -> None:
    fields = {"key": "a", "type": "string", "variants": {"x": "1"}}
    chosen = {"default_variant": "x", "off_variant": "x"}
    del chosen[name]

    with pytest.raises(InvalidError) as refused:
        flag_of({**fields, **chosen})

    assert (refused.value.path, refused.value.allowed) == (name, ["x"])


def test_what_is_allowed_is_told() -> None:
    with pytest.raises(InvalidError) as refused:
        flag(default_variant="red")

    assert refused.value.allowed == ["on", "off"]


def test_the_key_is_that_of_the_address() -> None:
    assert flag_of({"type": "boolean"}, key="new").key == "new"
    with pytest.raises(InvalidError, match="address"):
        flag_of({"key": "old", "type": "boolean"}, key="new")


@pytest.mark.parametrize("value", [None, [], "flag", 1])
def test_what_is_no_object_is_no_flag(value: object) -> None:
    with pytest.raises(InvalidError, match="object"):
        flag_of(value)


def test_a_segment_is_told_as_it_was_written() -> None:
    value = {
        "key": "staff",
        "description": "Who works here.",
        "included": ["ann"],
        "excluded": ["bob"],
        "when": {"attribute": "email", "operator": "ends_with", "value": "@example.org"},
    }

    assert item_document(segment_of(value)) == value
    assert segment_of({**value, "version": 3}) == segment_of(value)
    assert segment_of({}, key="staff") == segment()


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"key": "a b"}, "key"),
        ({}, "key"),
        ({"key": "a", "when": {"segment": 1}}, "when.segment"),
        ({"key": "a", "other": 1}, "other"),
        ([], ""),
    ],
    ids=str,
)
def test_a_wrong_segment_is_refused(value: object, path: str) -> None:
    with pytest.raises(InvalidError) as refused:
        segment_of(value)

    assert refused.value.path == path


def test_an_environment_is_told_as_it_was_written() -> None:
    value = {"name": "production", "description": "What users see.", "approvals": 2}

    assert environment_item_of(value) == Environment("production", "What users see.", 2)
    assert environment_document(environment_item_of(value)) == value
    assert environment_item_of({}, name="test") == Environment("test")


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({}, "name"),
        ({"name": "9"}, "name"),
        ({"name": "a" * 64}, "name"),
        ({"name": "p", "approvals": 11}, "approvals"),
        ({"name": "p", "approvals": -1}, "approvals"),
    ],
    ids=str,
)
def test_a_wrong_environment_is_refused(value: object, path: str) -> None:
    with pytest.raises(InvalidError) as refused:
        environment_item_of(value)

    assert refused.value.path == path


def test_an_environment_keeps_its_name() -> None:
    with pytest.raises(InvalidError, match="address"):
        environment_item_of({"name": "a"}, name="b")


def test_items_are_read_by_kind() -> None:
    for item in (flag(), segment(), Environment("production", "x", 1)):
        kind = "environment" if isinstance(item, Environment) else type(item).__name__.lower()
        found = item_of("flag" if "flag" in kind else kind, item_document(item))  # type: ignore[arg-type]  # It is one of the three.
        assert found == item
