"""When to try again: full jitter between tries, or what the service's ``Retry-After`` says."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

BASE_SECONDS = 0.5
CAP_SECONDS = 30.0
MAX_RETRY_AFTER_SECONDS = 3600.0


_uniform = secrets.SystemRandom().uniform


def full_jitter(
    failures: int,
    uniform: Callable[[float, float], float] = _uniform,
    *,
    cap: float = CAP_SECONDS,
) -> float:
    """Return how long to wait after that many failures in a row, the first being 1.

    "Full jitter" of Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015):
    uniform between nothing and a doubling bound, so that clients do not come back in step.
    """
    return uniform(0.0, min(cap, BASE_SECONDS * 2.0 ** min(failures - 1, 16)))


def retry_after_seconds(header: str | None, now: datetime | None = None) -> float | None:
    """Return the wait that a ``Retry-After`` asks for (RFC 9110, 10.2.3: seconds or a date).

    ``None`` if it is absent or makes no sense. At most an hour, lest a slip silence a client.
    """
    if header is None:
        return None
    header = header.strip()
    if header.isascii() and header.isdigit():
        seconds = float(header[:9])
    else:
        try:
            date = parsedate_to_datetime(header)
        except ValueError:
            return None
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        seconds = (date - (now or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)
