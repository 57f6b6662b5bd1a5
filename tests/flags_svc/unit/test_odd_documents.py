"""Whatever is sent as a flag, a segment, a patch or an action, it is taken or refused."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flags_svc.domain import decisions
from flags_svc.domain.documents import document, environment_item_of, flag_of, segment_of
from flags_svc.domain.flag import ManagedFlag
from flags_svc.wire.bodies import planned_of, rollout_of
from tests.flags_svc.unit.test_documents import WHOLE
from tests.flags_svc.worlds import flag, segment, world
from windsock_kit.errors import ConflictError, InvalidError, NotFoundError

SEGMENT = {"key": "a", "included": ["x"], "when": {"any": [{"segment": "b"}, {"not": {"all": []}}]}}
ROLLOUT = {
    "environment": "production",
    "steps": [{"percentage": 1, "for_seconds": 5}, {"percentage": 100}],
    "split": {"on": 1},
    "at": "2030-01-01T00:00:00Z",
    "otherwise": "off",
}
PLAN = {"environment": "p", "steps": WHOLE["environments"]["production"]["schedule"][1:]}
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        True,
        -1,
        2.5,
        2**53,
        1e308,
        "",
        "x",
        "\0",
        "\ud800",
        [],
        [[]],
        {},
        {"a": {}},
        ["x"],
        [{}],
    ]
)


def patched(value: Any) -> object:
    before = world(flag("new"), segment(), flag_of({**WHOLE, "environments": {}}))
    return decisions.patch("flag", "model", value)(before)


def places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for key, each in inner:
        found += [(value, key), *places(each)]
    return found


@pytest.mark.parametrize(
    ("read", "whole"),
    [
        (flag_of, WHOLE),
        (segment_of, SEGMENT),
        (environment_item_of, {"name": "p", "description": "x", "approvals": 1}),
        (rollout_of, ROLLOUT),
        (planned_of, PLAN),
        (patched, WHOLE),
    ],
    ids=["flag", "segment", "environment", "rollout", "schedule", "patch"],
)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_what_is_odd_is_taken_or_refused(
    read: Callable[[Any], object], whole: Any, data: st.DataObject
) -> None:
    value = deepcopy(whole)
    for _ in range(data.draw(st.integers(1, 2))):
        where, key = data.draw(st.sampled_from(places(value)))
        where[key] = deepcopy(data.draw(ODD))

    try:
        found = read(value)
    except (InvalidError, NotFoundError, ConflictError):
        return

    if isinstance(found, ManagedFlag):
        assert flag_of(orjson.loads(orjson.dumps(document(found)))) == found
