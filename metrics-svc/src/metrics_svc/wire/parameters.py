"""Query parameters of the six read endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from starlette.datastructures import QueryParams

from metrics_svc.domain.event import MAX_NAME
from metrics_svc.domain.summary import Filters
from metrics_svc.domain.window import Window, align
from windsock_kit.errors import InvalidError

MAX_MINUTES = 43_200
DEFAULT_MINUTES = 60
FILTERS = ("operation", "gap_priority", "environment")
ALLOWED = ("time_window_minutes", *FILTERS)
# Up to so many minutes a series has points of so many seconds; the last entry is for anything longer.
_STEPS = ((10, 10), (120, 60), (720, 600), (7_200, 3_600), (MAX_MINUTES, 21_600))


@dataclass(frozen=True, slots=True)
class WindowRequest:
    """What a read endpoint was asked: so many minutes that end now, of the events that pass the filters."""

    minutes: int
    filters: Mapping[str, str]

    def window(self, now: datetime, kept: Mapping[int, int]) -> Window:
        """Return the window with steps ready to plot; ``kept`` is for how long each resolution is kept."""
        end = now.timestamp()
        step = next(seconds for limit, seconds in _STEPS if self.minutes <= limit)
        return align(end - self.minutes * 60, end, now=end, kept=kept, step=step)

    def filter(self) -> Filters:
        """Return the filters as the engine takes them."""
        return {name: frozenset({value}) for name, value in self.filters.items()}


def window_request(given: QueryParams) -> WindowRequest:
    """Parse the parameters; anything unknown or wrong is an ``InvalidError`` that names what is allowed."""
    for name in given:
        if name not in ALLOWED:
            raise InvalidError(
                f"unknown parameter {name[:MAX_NAME]!r}; allowed: {', '.join(ALLOWED)}",
                path=name[:MAX_NAME],
                allowed=ALLOWED,
            )
        if len(given.getlist(name)) > 1:
            raise InvalidError(f"{name} is given more than once", path=name)
    filters = {name: _value(name, given[name]) for name in FILTERS if name in given}
    return WindowRequest(_minutes(given.get("time_window_minutes")), filters)


def _minutes(text: str | None) -> int:
    if text is None:
        return DEFAULT_MINUTES
    # ASCII digits only: int() would take "+5", "1_0" and other scripts' digits as well.
    if text.isascii() and text.isdecimal() and len(text) <= 6 and 1 <= int(text) <= MAX_MINUTES:
        return int(text)
    raise InvalidError(
        f"time_window_minutes must be a whole number from 1 to {MAX_MINUTES}, got {text[:50]!r}",
        path="time_window_minutes",
        allowed=[f"1 to {MAX_MINUTES}"],
    )


def _value(name: str, text: str) -> str:
    if not 1 <= len(text) <= MAX_NAME:
        raise InvalidError(
            f"{name} must have 1 to {MAX_NAME} characters; leave it out for all", path=name
        )
    return text
