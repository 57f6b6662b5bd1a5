from datetime import UTC, datetime

import numpy as np
import orjson
import pytest

from windsock_kit.responses import internal_error, json


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.arange(3), b"[0,1,2]"),
        (np.float64(1.5), b"1.5"),
        (float("nan"), b"null"),
        (datetime(2025, 11, 29, 12, tzinfo=UTC), b'"2025-11-29T12:00:00Z"'),
        (None, b"null"),
    ],
    ids=["array", "numpy scalar", "nan", "time", "none"],
)
def test_values_are_written_as_clients_expect(value: object, text: bytes) -> None:
    assert json(value).body == text


def test_status_and_headers_are_passed_on() -> None:
    response = json({}, 201, {"Location": "/rules/7"})

    assert response.status_code == 201
    assert response.headers["location"] == "/rules/7"
    assert response.headers["content-type"] == "application/json"


def test_answer_to_a_bug_tells_nothing_of_the_inside() -> None:
    body = orjson.loads(internal_error().body)

    assert body["status"] == 500
    assert body["code"] == "internal_error"
