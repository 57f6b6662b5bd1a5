"""Hostile texts made harmless."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts_svc.domain.plain import MARK, cut, plain, plain_map


@pytest.mark.parametrize(
    ("hostile", "harmless"),
    [
        ("a\r\nBcc: x", "a Bcc: x"),
        ("a\x00b\tc", "a b c"),
        ("\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2Jx", "red x"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("user\u202egnp.exe", "usergnp.exe"),
        ("a\u2066b\u2069\u200b\ufeff", "ab"),
        ("a\u2028b\u2029c\x85d", "a b c d"),
        ("a\ud800b", "a\ufffdb"),
        ("  spaces \u00a0 around  ", "spaces around"),
        ("<b>{{7*7}} %s $(id) `x`", "<b>{{7*7}} %s $(id) `x`"),
        ("größer 😀 日本", "größer 😀 日本"),
        ("", ""),
    ],
)
def test_texts(hostile: str, harmless: str) -> None:
    assert plain(hostile) == harmless


def test_long_text_is_cut_with_a_mark() -> None:
    assert plain("x" * 1_000_000, 20) == "x" * 19 + MARK
    assert plain("x" * 20, 20) == "x" * 20
    assert plain("\x00" * 1_000_000 + "hidden", 20) == MARK * 2


def test_cut_keeps_a_letter_with_its_accents() -> None:
    assert cut("abe\u0301\u0301cd", 5) == "ab" + MARK
    assert cut("😀" * 10, 3) == "😀😀" + MARK


@given(st.text(st.characters(), max_size=300), st.integers(1, 100))
def test_result_is_one_visible_line_within_the_limit(text: str, limit: int) -> None:
    found = plain(text, limit)

    assert len(found) <= limit
    assert found.encode().decode() == found
    assert len(found.splitlines()) <= 1
    assert not {unicodedata.category(c) for c in found} & {"Cc", "Cs", "Zl", "Zp"}
    assert plain(found, limit) == found or MARK in found


def test_maps_are_bounded_too() -> None:
    found = plain_map({f"name{number}": "v" * 9000 for number in range(1000)})

    assert len(found) == 64
    assert all(len(value) == 1024 for value in found.values())
