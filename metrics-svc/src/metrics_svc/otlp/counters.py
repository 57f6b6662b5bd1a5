"""Counters that add up since a start, as OTLP and Prometheus send them, to what was added between two points."""

from __future__ import annotations

import msgspec

from metrics_svc.domain.event import Measurement
from metrics_svc.otlp.points import MAX_OBSERVATIONS, Point, Reading


class CounterState(msgspec.Struct, frozen=True, array_like=True):
    """The last point of one series that counted."""

    start_ns: int
    time_ns: int
    reading: Reading


# As long as a series' last point is remembered.
MAX_UNSEEN_NS = 7 * 86_400 * 10**9

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(CounterState)


def dump_state(state: CounterState) -> bytes:
    return _encoder.encode(state)


def load_state(stored: bytes) -> CounterState:
    return _decoder.decode(stored)


def advance(previous: CounterState | None, point: Point) -> tuple[Measurement | None, CounterState]:
    """Return what ``point`` adds to its series, ``None`` where that is nothing, and the state to keep.

    A point that is not newer than the state is a duplicate or came late, and one of an earlier start belongs to a
    process that has gone: neither changes anything. A later start or a value that fell is a reset, after which the
    whole value is new. A first value whose start is unknown (absent, or the point's own time: OTLP data model,
    "Cumulative streams: handling unknown start time") or more than a week ago is a baseline only, and so is one that cannot have been counted
    since the last point.
    """
    state = CounterState(point.start_ns, point.time_ns, _kept(point.reading))
    started = 0 < point.start_ns < point.time_ns
    if previous is None:
        # The state of a series that was silent for longer is forgotten; counting its total again would be worse.
        recent = started and point.time_ns - point.start_ns <= MAX_UNSEEN_NS
        return _measured(point, point.reading if recent else None), state
    if point.time_ns <= previous.time_ns or 0 < point.start_ns < previous.start_ns:
        return None, previous
    if 0 < previous.start_ns < point.start_ns:
        return _measured(point, point.reading if started else None), state
    return _measured(point, _since(point.reading, previous.reading) or point.reading), state


def _kept(reading: Reading) -> Reading:
    # The extremes of all time say nothing of the next interval.
    return msgspec.structs.replace(reading, low=None, high=None)


def _measured(point: Point, added: Reading | None) -> Measurement | None:
    if added is None or not (added.total if added.count is None else added.count):
        return None
    if (added.count or 0) > MAX_OBSERVATIONS:
        return None
    return point.measurement(added)


def _since(now: Reading, earlier: Reading) -> Reading | None:
    """Return what was added after ``earlier``, or ``None`` where the series was reset in between."""
    if now.count is None or earlier.count is None:
        risen = (now.total or 0) - (earlier.total or 0)
        return Reading(risen) if risen >= 0 else None
    if now.count < earlier.count:
        return None
    buckets = None
    if now.buckets is not None and earlier.buckets is not None:
        buckets = now.buckets.since(earlier.buckets)
    if buckets is None and (now.buckets is not None or earlier.buckets is not None):
        return None
    total: int | float | None = None
    if now.total is not None and earlier.total is not None:
        total = now.total - earlier.total
    return Reading(total, now.count - earlier.count, buckets=buckets)
