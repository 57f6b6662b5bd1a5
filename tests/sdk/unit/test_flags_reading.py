import json
from typing import Any

import pytest

from windsock.flags.definition import Flag, Split
from windsock.flags.reading import InvalidFlagsError, read_flags


def flag(**changes: object) -> dict[str, Any]:
    usual = {
        "key": "f",
        "type": "boolean",
        "variants": {"on": True, "off": False},
        "off_variant": "off",
        "fallthrough": {"variant": "on"},
    }
    return {name: value for name, value in {**usual, **changes}.items() if value is not ...}


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

    assert read_flags(text.encode()) == {
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
    ],
    ids=str,
)
def test_a_mistake_is_named_with_its_path(changes: dict[str, object], complaint: str) -> None:
    text = json.dumps({"flags": [flag(**changes)]})

    with pytest.raises(InvalidFlagsError) as raised:
        read_flags(text.encode())

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
    ],
    ids=range(13),
)
def test_a_file_that_is_no_list_of_flags_is_refused(text: bytes, complaint: str) -> None:
    with pytest.raises(InvalidFlagsError) as raised:
        read_flags(text)

    assert str(raised.value).startswith(complaint)
