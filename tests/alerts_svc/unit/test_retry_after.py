"""Retry-After in both forms."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from alerts_svc.domain import retry_after

WALL = 1_790_000_000.0


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        (None, None, None),
        ("30", None, 30),
        (" 0 ", None, 0),
        ("99999999999999999999", None, 3600),
        (formatdate(WALL + 30, usegmt=True), None, 30),
        (formatdate(WALL - 30, usegmt=True), None, 0),
        (formatdate(WALL + 90_000, usegmt=True), None, 3600),
        (formatdate(WALL + 5030, usegmt=True), formatdate(WALL + 5000, usegmt=True), 30),
        (formatdate(WALL + 30, usegmt=True), "nonsense", 30),
        ("Mon, 21 Sep 2026 14:13:50", None, 30),
        ("-5", None, None),
        ("1.5", None, None),
        ("٣", None, None),
        ("soon", None, None),
        ("", None, None),
        ("Fri, 99 Foo 99999 99:99:99 GMT", None, None),
    ],
)
def test_what_is_asked_for(value: str | None, date: str | None, seconds: float | None) -> None:
    assert retry_after.seconds(value, wall=WALL, date=date) == seconds
