from __future__ import annotations

from typing import Any

import orjson
import pytest

from flags_svc.wire.reports import MAX_EVALUATIONS, report_of
from windsock_kit.errors import BadRequestError, InvalidError

GOOD: dict[str, Any] = {
    "instance": "0123456789abcdef" * 2,
    "kind": "sdk",
    "name": "api",
    "environment": "production",
    "epoch": "e1",
    "revision": 5,
    "sequence": 1,
    "applied_age_seconds": 0.25,
    "evaluations": [
        {"flag": "f", "variant": "on", "count": 2},
        {"flag": "f", "variant": None, "count": 1},
        {"flag": "f", "variant": "on", "count": 3},
    ],
}


def test_a_report_says_how_far_a_process_is_and_what_it_evaluated() -> None:
    report, age = report_of(orjson.dumps(GOOD), 9.0)

    assert (report.instance, report.revision, report.sequence, report.at) == (
        *(GOOD["instance"], 5, 1, 9.0),
    )
    assert report.used == {("f", "on"): 5, ("f", None): 1}
    assert age == 0.25


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"instance": "x"}, "instance"),
        ({"instance": GOOD["instance"] + "\n"}, "instance"),
        ({"kind": "service"}, "kind"),
        ({"revision": -1}, "revision"),
        ({"revision": True}, "revision"),
        ({"sequence": 2**53}, "sequence"),
        ({"applied_age_seconds": -0.1}, "applied_age_seconds"),
        ({"name": "x" * 201}, "name"),
        ({"evaluations": [{"flag": "f", "variant": "on", "count": 0}]}, "evaluations[0].count"),
        ({"evaluations": [{"flag": "f", "count": 1}]}, "evaluations[0].variant"),
        ({"evaluations": GOOD["evaluations"] * MAX_EVALUATIONS}, "evaluations"),
        ({"more": 1}, "more"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(wrong: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidError) as refused:
        report_of(orjson.dumps(GOOD | wrong), 9.0)

    assert refused.value.path == path


def test_what_is_no_json_is_told_so() -> None:
    with pytest.raises(BadRequestError):
        report_of(b"{", 9.0)
