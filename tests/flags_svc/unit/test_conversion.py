"""Whatever others send as their flags, it is read or refused."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flags_svc.conversion import flagd, growthbook, unleash
from flags_svc.conversion.outcome import Converted
from windsock_kit.errors import InvalidError

Read = Callable[[object, str], Converted]

FLAGD = {
    "flags": {
        "a": {
            "state": "ENABLED",
            "variants": {"on": True, "off": False},
            "defaultVariant": "off",
            "metadata": {"team": "x"},
            "targeting": {
                "if": [
                    {"and": [{"==": [{"var": "x"}, 1]}, {"in": [{"var": ["y", None]}, ["b"]]}]},
                    {"fractional": [{"cat": ["s", {"var": "z"}]}, ["on", 1], ["off", 3]]},
                    {"sem_ver": [{"var": "v"}, "^", "1.2.3"]},
                    "on",
                    {"<": [1, {"var": "n"}, 3]},
                    "off",
                    {"$ref": "shared"},
                    None,
                ]
            },
        }
    },
    "$evaluators": {"shared": {"starts_with": [{"var": "x"}, "a"]}},
}
UNLEASH = {
    "features": [{"name": "a", "type": "release", "description": "d", "archived": False}],
    "featureStrategies": [
        {
            "featureName": "a",
            "name": "flexibleRollout",
            "sortOrder": 1,
            "parameters": {"rollout": "50", "stickiness": "userId", "groupId": "a"},
            "constraints": [
                {"contextName": "x", "operator": "IN", "values": ["a"], "inverted": False},
                {"contextName": "x", "operator": "NUM_GT", "value": "5"},
            ],
            "segments": [1],
            "variants": [{"name": "v", "weight": 1, "payload": {"type": "json", "value": "{}"}}],
        }
    ],
    "featureEnvironments": [{"featureName": "a", "enabled": True, "variants": []}],
    "featureTags": [{"featureName": "a", "tagValue": "t"}],
    "segments": [
        {
            "id": 1,
            "name": "s",
            "constraints": [{"contextName": "x", "operator": "IN", "values": ["a"]}],
        }
    ],
    "dependencies": [{"feature": "a", "dependencies": [{"feature": "b", "variants": ["on"]}]}],
}
GROWTHBOOK = {
    "features": [
        {
            "id": "a",
            "valueType": "string",
            "defaultValue": "a",
            "tags": ["t"],
            "environments": {
                "production": {
                    "enabled": True,
                    "rules": [
                        {"condition": {"x": {"$in": ["a"]}, "$or": [{"y": 1}]}, "force": "b"},
                        {
                            "condition": {"x": {"$not": {"$inGroup": "g"}}},
                            "values": [
                                {"value": "a", "weight": 0.5},
                                {"value": "b", "weight": 0.5},
                            ],
                            "coverage": 0.5,
                            "hashAttribute": "id",
                        },
                    ],
                }
            },
        }
    ],
    "savedGroups": {"g": ["x"]},
}
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 2.5, 10**20, "", "x", [], [[]], {}, {"a": {}}, ["x"], [{}]]
)


def places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, each in inner:
        found += [(value, key), *places(each)]
    return found


@pytest.mark.parametrize(
    ("read", "whole"),
    [(flagd.read, FLAGD), (unleash.read, UNLEASH), (growthbook.read, GROWTHBOOK)],
    ids=["flagd", "unleash", "growthbook"],
)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_what_is_odd_is_read_or_refused(read: Read, whole: Any, data: st.DataObject) -> None:
    value = deepcopy(whole)
    for _ in range(data.draw(st.integers(0, 2))):
        where, key = data.draw(st.sampled_from(places(value)))
        where[key] = deepcopy(data.draw(ODD))

    try:
        converted = read(value, "production")
    except InvalidError:
        return

    assert converted.document()["converted"] == len(converted.given)


@pytest.mark.parametrize(
    ("read", "whole"),
    [(flagd.read, FLAGD), (unleash.read, UNLEASH), (growthbook.read, GROWTHBOOK)],
    ids=["flagd", "unleash", "growthbook"],
)
def test_the_whole_is_carried_over(read: Read, whole: Any) -> None:
    assert [note for note in read(whole, "production").notes if note.left_out] == []
