from __future__ import annotations

from typing import Any

import orjson
import pytest

from flags_svc.domain.flag import InEnvironment
from flags_svc.domain.world import Change
from flags_svc.live import messages
from flags_svc.live.messages import UnreadableError
from tests.flags_svc.memory import PRODUCTION, MemoryConfiguration
from tests.flags_svc.replicas import a_deletion, a_flag, an_edit

WRONG: tuple[dict[str, Any], ...] = (
    {"revision": "1"},
    {"kind": "rule"},
    {"item": {"key": "t"}},
    {"item": {"key": "s", "when": {"attribute": 1}}},
    {"item": []},
    {"key": None},
)
GOOD: dict[str, Any] = {
    "revision": 1,
    "version": 1,
    "at": 1.5,
    "author": "ann",
    "comment": "",
    "action": "create",
    "kind": "segment",
    "key": "s",
    "item": {"key": "s"},
}


def some_changes() -> list[Change]:
    flag = a_flag("f", environments={"production": InEnvironment(True)}, tags=("a", "b"))
    return MemoryConfiguration().put(PRODUCTION, an_edit(flag), a_deletion("f"))


def test_what_is_told_is_what_is_heard() -> None:
    changes = some_changes()

    assert messages.read(messages.write("e1", changes)) == ("e1", changes)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"{}",
        b'{"epoch":"e","changes":[{}]}',
        b"[" * 100_000,
        *(orjson.dumps({"epoch": "e", "changes": [GOOD | wrong]}) for wrong in WRONG),
    ],
)
def test_what_cannot_be_read_is_told_apart(body: bytes) -> None:
    assert messages.read(orjson.dumps({"epoch": "e", "changes": [GOOD]}))
    with pytest.raises(UnreadableError):
        messages.read(body)
