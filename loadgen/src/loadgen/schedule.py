"""When each call of a trace takes place: pure arithmetic, the time comes in as an argument."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from loadgen.traces import TraceCall

MAX_AGE = timedelta(days=7)
"""How far back metrics-svc takes an event, unless it is told otherwise."""

# The first batch must still be young enough when it arrives.
_MARGIN = timedelta(minutes=2)
_LONGEST_LIVE = timedelta(days=366)


class ScheduleError(Exception):
    """The trace does not fit; the text says what to change."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a first reading of the trace found; offsets need not be in order."""

    calls: int
    first_offset: float
    last_offset: float
    calls_within_reach: int

    @property
    def span_seconds(self) -> float:
        return self.last_offset - self.first_offset


def survey(calls: Iterable[TraceCall], *, compress: float) -> Survey:
    """Count the calls, and how many of the first would fit into what the store takes."""
    reach = (MAX_AGE - _MARGIN).total_seconds() * compress
    count = within = 0
    first, last = math.inf, -math.inf
    for call in calls:
        count += 1
        first = min(first, call.offset_seconds)
        last = max(last, call.offset_seconds)
        if last - first <= reach:
            within = count
    return Survey(count, first, last, within)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Maps offsets in the trace to times: ``pace`` seconds of trace per second."""

    starts_at: datetime
    first_offset: float
    pace: float

    def at(self, offset_seconds: float) -> datetime:
        return self.starts_at + timedelta(seconds=self.after(offset_seconds))

    def after(self, offset_seconds: float) -> float:
        """Seconds from the start of the replayed trace to the call."""
        return (offset_seconds - self.first_offset) / self.pace


def backfill(found: Survey, *, now: datetime, compress: float) -> Schedule:
    """Shift the trace so that its last call is now."""
    span = timedelta(seconds=found.span_seconds / compress)
    if span > MAX_AGE - _MARGIN:
        needed = math.ceil(found.span_seconds / (MAX_AGE - _MARGIN).total_seconds() * 100) / 100
        raise ScheduleError(
            f"the trace covers {span / timedelta(days=1):.1f} days, and a replay reaches"
            f" {MAX_AGE.days} days back: add --limit {found.calls_within_reach} for the part"
            f" that fits, or --compress {needed:g} to draw the calls together"
        )
    return Schedule(now - span, found.first_offset, compress)


def live(found: Survey, *, now: datetime, speed: float) -> Schedule:
    """Let the first call take place now and the others follow, ``speed`` times as fast."""
    lasts = found.span_seconds / speed
    if lasts > _LONGEST_LIVE.total_seconds():
        raise ScheduleError(f"at --speed {speed:g} the trace takes {lasts / 86400:,.0f} days")
    return Schedule(now, found.first_offset, speed)
