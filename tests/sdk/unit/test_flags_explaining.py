import json
from typing import Any

from windsock.flags.bucketing import hash32
from windsock.flags.definition import Flag
from windsock.flags.evaluation import CompiledSet, compile_set
from windsock.flags.explaining import MAX_SHOWN_TEXT, explain
from windsock.flags.reading import read_document

VARIANTS = {"on": True, "off": False}
ROLLOUT = {"percentage": 40, "split": {"on": 1, "off": 1}, "otherwise": "off"}


def flag(key: str = "f", **fields: Any) -> dict[str, Any]:
    usual = {"type": "boolean", "variants": VARIANTS, "off_variant": "off"}
    return {"key": key, **usual, "fallthrough": {"variant": "on"}, **fields}


def flags_of(*flags: dict[str, Any], segments: tuple[dict[str, Any], ...] = ()) -> CompiledSet:
    text = json.dumps({"flags": flags, "segments": segments})
    return compile_set(read_document(text.encode()))


def is_plan(value: str) -> dict[str, Any]:
    return {"attribute": "plan", "operator": "equals", "value": value}


def test_every_step_is_told_in_its_order() -> None:
    rules = [
        {"when": {"segment": "staff"}, "serve": {"variant": "on"}},
        {
            "name": "paying",
            "when": {"any": [is_plan("max"), {"not": is_plan("free")}, is_plan("pro")]},
            "serve": {"rollout": ROLLOUT},
        },
    ]
    targets = [{"variant": "on", "keys": ["u-9"]}]
    flags = flags_of(
        flag(targets=targets, rules=rules),
        segments=({"key": "staff", "included": ["u-2"], "excluded": ["u-1"]},),
    )

    found = explain(flags, "f", "u-1", {"plan": "pro"}).document()

    hashed = hash32("f/rollout:u-1")
    assert found == {
        "flag": "f",
        "variant": "off",
        "value": False,
        "reason": "SPLIT",
        "steps": [
            {"step": "enabled", "held": True},
            {"step": "targets", "held": False, "targeting_key": "u-1"},
            {
                "step": "rule",
                "held": False,
                "index": 0,
                "when": {"segment": "staff", "by": "excluded", "held": False},
            },
            {
                "step": "rule",
                "held": True,
                "index": 1,
                "name": "paying",
                "when": {
                    "any": [
                        {**is_plan("max"), "found": "pro", "held": False},
                        {"not": {**is_plan("free"), "found": "pro", "held": False}, "held": True},
                    ],
                    "held": True,
                },
                "serve": {"rollout": ROLLOUT},
                "bucket_by": {"attribute": "targetingKey", "unit": "u-1"},
                "rollout": {
                    "salt": "f/rollout",
                    "hash": hashed,
                    "bucket": hashed * 100_000 >> 32,
                    "of": 100_000,
                    "share": 40_000,
                    "held": False,
                },
            },
        ],
    }


def test_the_numbers_of_a_split_are_told() -> None:
    flags = flags_of(flag(fallthrough={"split": {"off": 1, "on": 3}}, salt="s"))

    [_, step] = explain(flags, "f", "u-1").steps

    hashed = hash32("s:u-1")
    variant = flags["f"].evaluate("u-1").variant
    assert step["split"] == {
        "salt": "s",
        "hash": hashed,
        "bucket": hashed * 4 >> 32,
        "of": 4,
        "variant": variant,
    }


def test_an_unmet_prerequisite_is_told_with_its_own_steps() -> None:
    after = [{"flag": "other", "variants": ["on"]}, {"flag": "gone", "variants": ["on"]}]
    flags = flags_of(flag(prerequisites=after), flag("other", enabled=False))

    found = explain(flags, "f", "u-1").document()

    assert (found["variant"], found["reason"]) == ("off", "DISABLED")
    assert found["steps"][1] == {
        "step": "prerequisite",
        "held": False,
        "wanted": ["on"],
        "flag": "other",
        "variant": "off",
        "value": False,
        "reason": "DISABLED",
        "steps": [{"step": "enabled", "held": False}],
    }
    met = flags.after([Flag("other", "boolean", VARIANTS, fallthrough="on")])
    assert explain(met, "f", "u-1").steps[2] == {
        "step": "prerequisite",
        "held": False,
        "wanted": ["on"],
        "flag": "gone",
    }


def test_what_is_missing_is_told_as_an_error() -> None:
    flags = flags_of(flag(fallthrough={"split": {"on": 1}}))

    found = explain(flags, "f").document()
    unknown = explain(flags, "g").document()

    assert (found["variant"], found["reason"]) == (None, "ERROR")
    assert found["error_code"] == "TARGETING_KEY_MISSING"
    assert "value" not in found
    assert unknown["error_code"] == "FLAG_NOT_FOUND"
    assert unknown["steps"] == []


def test_long_values_are_shortened() -> None:
    many = {"attribute": "plan", "operator": "in", "values": list(range(10_000))}
    flags = flags_of(flag(rules=[{"when": many, "serve": {"variant": "on"}}]))

    when = explain(flags, "f", "u-1", {"plan": "x" * 100_000}).steps[1]["when"]

    assert when["values"] == list(range(20))
    assert when["more_values"] == 9_980
    assert when["found"] == "x" * MAX_SHOWN_TEXT
