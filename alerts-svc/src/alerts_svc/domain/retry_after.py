"""What a receiver asks for with Retry-After (RFC 9110, section 10.2.3): seconds, or a date."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LIMIT_SECONDS = 3600.0


def seconds(value: str | None, *, wall: float, date: str | None = None) -> float | None:
    """Return for how long to wait, at most an hour, or ``None`` where nothing usable is said.

    A date is held against ``date``, the receiver's own clock, if it told that, and else against ``wall``.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LIMIT_SECONDS)
    until = _unix(text)
    if until is None:
        return None
    now = _unix(date) if date is not None else None
    return min(max(until - (wall if now is None else now), 0.0), LIMIT_SECONDS)


def _unix(text: str) -> float | None:
    try:
        parsed = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    # A date without a zone is in UTC: HTTP knows no other.
    aware = parsed if parsed.tzinfo is not None else datetime.replace(parsed, tzinfo=UTC)
    try:
        return aware.timestamp()
    except (OverflowError, ValueError):
        return None
