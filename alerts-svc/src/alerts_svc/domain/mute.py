"""Mute windows: hours of the week, as the clocks of a place show them."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from alerts_svc.domain.configuration import MuteWindow

_DAY_MINUTES = 1440


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        # A zone that is not known here (any more): better told at night than never.
        return None


def is_muted(window: MuteWindow, *, wall: float) -> bool:
    """Return whether the window is in effect.

    Its hours are what a clock on the wall shows: an hour that is repeated in autumn counts twice, one that is left out
    in spring not at all. ``weekdays`` are those on which it starts; a start that equals the end means a whole day.
    """
    zone = _zone(window.time_zone)
    if zone is None:
        return False
    local = datetime.fromtimestamp(wall, zone)
    minute = 60 * local.hour + local.minute
    if window.start < window.end:
        return local.weekday() in window.weekdays and window.start <= minute < window.end
    if minute >= window.start:
        return local.weekday() in window.weekdays
    return minute < window.end and (local.weekday() - 1) % 7 in window.weekdays


# Thousands may be held back by one window at one time.
@lru_cache(maxsize=64)
def ends_at(window: MuteWindow, *, wall: float) -> float | None:
    """Return when a window that is in effect ends (wall clock), ``None`` if not within eight days.

    Where clocks are changed just then, it may be told up to that change too late: ask again before that.
    """
    zone = _zone(window.time_zone)
    if zone is None:
        return None
    today = datetime.fromtimestamp(wall, zone).date()
    candidates = (
        _instant(today + timedelta(days=days), window.end, zone, fold)
        for days in range(9)
        for fold in (0, 1)
    )
    return min((t for t in candidates if t > wall and not is_muted(window, wall=t)), default=None)


def _instant(day: date, minute: int, zone: ZoneInfo, fold: int) -> float:
    day += timedelta(days=minute // _DAY_MINUTES)
    hour, minute = divmod(minute % _DAY_MINUTES, 60)
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone, fold=fold).timestamp()
