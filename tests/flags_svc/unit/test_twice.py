"""Names that stand twice in one object."""

from __future__ import annotations

import pytest

from flags_svc.routes.asking import json_of
from windsock_kit.errors import BadRequestError, InvalidError


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"percentage": 5, "percentage": 100}', "percentage"),
        (b'{"percentage": 5, "percentage": 5}', "percentage"),
        (b'{"percentage": 5, "percent\\u0061ge": 5}', "percentage"),
        (b'{"flags": [{"key": "a"}, {"variants": {"on": 1, "on": 2}}]}', "flags[1].variants.on"),
        (b'{"a": {"b": 1, "b": 2}, "a": {}}', "a"),
        (b'[[{"": 1, "": 2}]]', "[0][0]."),
        ('{"\u00e9": 1, "\u00e9": 2}'.encode(), "\u00e9"),
    ],
)
def test_a_name_that_is_twice_is_refused_with_its_path(body: bytes, path: str) -> None:
    with pytest.raises(InvalidError, match="twice") as refused:
        json_of(body)

    assert refused.value.path == path


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": {"a": [{"a": 1}, {"a": 1}]}}',
        b'{"a": "\\"a\\": 1, \\"a\\": 2"}',
        b"[]",
        b"5",
        b'"x"',
    ],
)
def test_the_same_name_in_other_objects_is_none_of_it(body: bytes) -> None:
    json_of(body)


def test_what_is_hidden_behind_the_second_is_not_followed_for_ever() -> None:
    hidden = b"[" * 100_000 + b"]" * 100_000

    with pytest.raises((InvalidError, BadRequestError)):
        json_of(b'{"a": ' + hidden + b', "a": 1}')


def test_hidden_numbers_may_have_any_number_of_digits() -> None:
    with pytest.raises(InvalidError):
        json_of(b'{"a": ' + b"9" * 10_000 + b', "a": 1}')
