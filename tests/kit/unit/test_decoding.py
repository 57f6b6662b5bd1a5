from __future__ import annotations

import msgspec
import pytest

from windsock_kit.decoding import reading_json
from windsock_kit.errors import BadRequestError, InvalidError


class Item(msgspec.Struct, forbid_unknown_fields=True):
    score: int
    flags: dict[str, str] = {}


DECODER = msgspec.json.Decoder(list[Item])


def test_what_is_as_expected_is_read() -> None:
    with reading_json(b'[{"score": 1}]'):
        assert DECODER.decode(b'[{"score": 1}]') == [Item(1)]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'[{"score": 1}, {"score": "2"}]', "[1].score"),
        (b"[{}]", "[0].score"),
        (b'[{"score": 1, "more": 2}]', "[0].more"),
        (b'[{"score": 1, "flags": {"a": 2}}]', "[0].flags[...]"),
        (b"{}", ""),
    ],
)
def test_what_is_wrong_is_told_with_its_place(body: bytes, path: str) -> None:
    with pytest.raises(InvalidError) as caught, reading_json(body):
        DECODER.decode(body)

    assert caught.value.path == path
    assert " - at " not in caught.value.detail


@pytest.mark.parametrize("body", [b"", b"[", b'[{"score": "1"}', b"\xff"])
def test_what_is_no_json_is_told_so_even_behind_a_wrong_value(body: bytes) -> None:
    with pytest.raises(BadRequestError, match="not JSON"), reading_json(body):
        DECODER.decode(body)


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_a_body_that_is_empty_is_told_so(body: bytes) -> None:
    with pytest.raises(BadRequestError, match="it is empty"), reading_json(body):
        DECODER.decode(body)


@pytest.mark.parametrize(
    "body", [rb'["\ud83d"]', rb'["\ud83dx"]', rb'["\ude00"]', rb'["\ud83d\ude00", "\uD83D\u0041"]']
)
def test_half_a_surrogate_pair_is_told_so(body: bytes) -> None:
    with pytest.raises(BadRequestError, match="half a surrogate pair"), reading_json(body):
        DECODER.decode(body)


@pytest.mark.parametrize("body", [rb'["\ud83d\ude00"', rb'["\\ud83d"'])
def test_no_other_mistake_is_taken_for_half_a_pair(body: bytes) -> None:
    with pytest.raises(BadRequestError, match="truncated"), reading_json(body):
        msgspec.json.decode(body)


def test_nesting_without_end_is_refused() -> None:
    body = b'[{"score": ' + b"[" * 100_000

    with pytest.raises(BadRequestError, match=r"nested too deeply|not JSON"), reading_json(body):
        msgspec.json.decode(body)
