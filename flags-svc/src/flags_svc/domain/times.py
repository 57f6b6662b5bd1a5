"""Times as they are written: RFC 3339, in UTC. Inside they are seconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime

from windsock_kit.errors import InvalidError

_LAST_YEAR = 9998


def instant(seconds: float) -> str:
    """Return a time as text, to the millisecond."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace(".000+00:00", "Z").replace("+00:00", "Z")


def seconds_of(value: object, path: str) -> float:
    """Return the time that ``value`` tells, cut to milliseconds; raises ``InvalidError``."""
    try:
        if not isinstance(value, str) or "T" not in value.upper():
            raise ValueError
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise _refused(path) from None
    # Near the end of the calendar, moments cannot be told in every zone.
    if moment.tzinfo is None or moment.year > _LAST_YEAR or moment.timestamp() < 0:
        raise _refused(path)
    return to_milliseconds(moment.timestamp())


def to_milliseconds(seconds: float) -> float:
    """Return a time as precise as it is written, so that what is read back is the same."""
    return round(seconds, 3)


def _refused(path: str) -> InvalidError:
    return InvalidError(
        "must be a time with an offset, from 1970 on",
        path=path,
        allowed=["RFC 3339, such as 2026-11-22T14:30:00Z"],
    )
