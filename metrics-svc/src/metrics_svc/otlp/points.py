"""Metric points to measurements, under the names that they came with; they are never added to what spans count.

A measurement's timestamp is its point's time. Counters that add up since a start become what was added: ``counters``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from functools import partial
from hashlib import blake2b

import msgspec
from google.protobuf.message import Message
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    DataPointFlags,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    SummaryDataPoint,
)

from metrics_svc.domain.event import MAX_NAME, Measurement
from metrics_svc.otlp import names
from metrics_svc.otlp.attributes import (
    Origin,
    Scalar,
    Sorted,
    clean,
    moment,
    name_of,
    nanoseconds,
    read,
    resource_attributes,
    resource_flags,
    sentence,
)
from metrics_svc.otlp.buckets import MAX_VALUE, BucketError, Buckets

# The longest that OpenTelemetry allows.
MAX_UNIT = 63
# A rollup splits counts into pieces of 16 bits: this many observations of one value take 60 KiB.
MAX_OBSERVATIONS = 1_000_000_000
# The points of a part: few enough that making them holds nothing else up for long.
PART = 1_000

AnyPoint = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint | SummaryDataPoint


class Kind(Enum):
    GAUGE = "gauge"
    DELTA = "delta"
    CUMULATIVE = "cumulative"


class Reading(msgspec.Struct, frozen=True, array_like=True):
    """The numbers of one point. ``count`` is ``None`` for a plain number, which is one observation.

    ``total`` is ``None`` for a histogram without a sum.
    """

    total: int | float | None
    count: int | None = None
    low: float | None = None
    high: float | None = None
    buckets: Buckets | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a series. ``labels`` is its measurement without the numbers."""

    series_key: bytes
    kind: Kind
    start_ns: int
    time_ns: int
    labels: Measurement
    reading: Reading

    @property
    def key(self) -> bytes:
        """24 bytes that are the same when the point is sent again: series, start and time."""
        start = self.start_ns.to_bytes(8, "big")
        identity = blake2b(self.series_key + start, digest_size=16).digest()
        return identity + self.time_ns.to_bytes(8, "big")

    def measurement(self, reading: Reading | None = None) -> Measurement:
        """Return the point as a measurement, of ``reading`` where its own adds up since a start."""
        numbers = reading or self.reading
        if numbers.count is None:
            value = float(numbers.total or 0)
            return msgspec.structs.replace(self.labels, total=value, low=value, high=value)
        bins = numbers.buckets.bins(numbers.low, numbers.high) if numbers.buckets else ()
        total = numbers.total
        if total is None:
            # Senders leave the sum out where values may be negative; the bins' sum is the nearest to it.
            total = math.fsum(value * count for value, count in bins)
        return msgspec.structs.replace(
            self.labels,
            total=float(total),
            count=numbers.count,
            # Percentiles lie between the extremes, so those of some points must not stand for all.
            low=bins[0][0] if numbers.low is None and bins else numbers.low,
            high=bins[-1][0] if numbers.high is None and bins else numbers.high,
            bins=bins,
        )


@dataclass(slots=True)
class PointExport:
    """What a part of a request brought. Points that say "no value" are neither in it nor refused."""

    points: list[Point] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)

    @property
    def rejected(self) -> int:
        return self.refusals.total()

    def note(self, part: PointExport) -> None:
        """Add what was refused in ``part``."""
        self.refusals.update(part.refusals)

    @property
    def message(self) -> str:
        return sentence(self.refusals, f"{self.rejected} data points refused")


class _RefusedError(Exception):
    """A point that cannot be stored; the message is the reason."""


@dataclass(frozen=True, slots=True)
class _Series:
    """What the points of one metric share."""

    identity: bytes
    kind: Kind
    labels: Measurement
    origin: Origin
    attributes: dict[str, Scalar]
    flags: dict[str, Scalar]
    operation: Scalar | None


def map_points(
    request: ExportMetricsServiceRequest, *, oldest: datetime, newest: datetime, size: int = PART
) -> Iterator[PointExport]:
    """Yield the points between ``oldest`` and ``newest``, in the order sent, and why others were refused.

    They come in parts of ``size`` points, made as they are asked for, and at least one part comes.
    """
    export = PointExport()
    room = size
    for outcome in _outcomes(request, (nanoseconds(oldest), nanoseconds(newest))):
        if isinstance(outcome, Point):
            export.points.append(outcome)
        else:
            export.refusals[outcome] += 1
        room -= 1
        if not room:
            yield export
            export, room = PointExport(), size
    yield export


def _outcomes(
    request: ExportMetricsServiceRequest, window: tuple[int, int]
) -> Iterator[Point | str]:
    """Yield each point, or why it is refused."""
    for resource_metrics in request.resource_metrics:
        resource = _resource(resource_metrics)
        for scope_metrics in resource_metrics.scope_metrics:
            scope = _digest(resource_metrics.resource.attributes, *_scope(scope_metrics))
            for metric in scope_metrics.metrics:
                yield from _map_metric(metric, partial(resource, scope), window)


def _map_metric(
    metric: Metric, series_of: Callable[[Metric, Kind], _Series], window: tuple[int, int]
) -> Iterator[Point | str]:
    kind_of_data = metric.WhichOneof("data")
    if kind_of_data is None:
        return
    points: Iterable[AnyPoint] = getattr(metric, kind_of_data).data_points
    try:
        series = series_of(metric, _kind(metric, kind_of_data))
    except _RefusedError as refusal:
        yield from (str(refusal) for _ in points)
        return
    for point in points:
        if point.flags & DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK:
            continue
        try:
            yield _point(point, series, window)
        except (_RefusedError, BucketError) as refusal:
            yield str(refusal)


def _kind(metric: Metric, kind_of_data: str) -> Kind:
    if not metric.name:
        raise _RefusedError("without a metric name")
    if len(metric.name) > MAX_NAME or "\0" in metric.name:
        raise _RefusedError(f"with a metric name that is longer than {MAX_NAME} or has a NUL")
    if kind_of_data == "gauge":
        return Kind.GAUGE
    if kind_of_data == "summary":
        # Its count and sum add up since the start, as in Prometheus, where it comes from.
        return Kind.CUMULATIVE
    temporality = getattr(metric, kind_of_data).aggregation_temporality
    if temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA:
        return Kind.DELTA
    if temporality != AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE:
        raise _RefusedError("without an aggregation temporality")
    # A sum that may fall has no rate: its present value is what it says.
    falls = kind_of_data == "sum" and not metric.sum.is_monotonic
    return Kind.GAUGE if falls else Kind.CUMULATIVE


def _resource(resource_metrics: ResourceMetrics) -> Callable[[bytes, Metric, Kind], _Series]:
    """Return what makes the series of a resource, so that its attributes are read once."""
    resource = read(resource_metrics.resource.attributes)
    origin = Origin().refined(resource)
    attributes, flags = resource_attributes(resource), resource_flags(resource)

    def series(scope: bytes, metric: Metric, kind: Kind) -> _Series:
        described = (metric.name, metric.unit, metric.WhichOneof("data") or "", kind.value)
        labels = Measurement(name=metric.name, unit=clean(metric.unit, MAX_UNIT))
        operation = resource.get(names.OPERATION)
        return _Series(
            _digest((), scope, *map(str.encode, described)),
            kind,
            labels,
            origin,
            attributes,
            flags,
            operation,
        )

    return series


def _scope(scope_metrics: ScopeMetrics) -> Iterator[bytes]:
    yield scope_metrics.scope.name.encode()
    yield scope_metrics.scope.version.encode()
    yield _digest(scope_metrics.scope.attributes)


def _digest(attributes: Iterable[Message], *parts: bytes) -> bytes:
    """Return 16 bytes for ``parts`` in their order and ``attributes`` in any order."""
    digest = blake2b(digest_size=16)
    for part in (*parts, *sorted(attribute.SerializeToString() for attribute in attributes)):
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.digest()


def _point(point: AnyPoint, series: _Series, window: tuple[int, int]) -> Point:
    start, time = point.start_time_unix_nano, point.time_unix_nano
    if time < window[0]:
        raise _RefusedError("too old")
    if time > window[1]:
        raise _RefusedError("in the future")
    if start > time:
        raise _RefusedError("that start after their time")
    reading = _reading(point)
    if series.kind is not Kind.CUMULATIVE and (reading.count or 0) > MAX_OBSERVATIONS:
        raise _RefusedError(f"with more than {MAX_OBSERVATIONS} observations")
    values = read(point.attributes)
    stored = Sorted(series.attributes.copy(), None, series.flags)
    stored.add(values)
    origin = series.origin.refined(values)
    labels = msgspec.structs.replace(
        series.labels,
        timestamp=moment(time),
        operation=name_of(values.get(names.OPERATION) or series.operation),
        environment=origin.environment,
        gap_priority=origin.gap_priority,
        user_id=origin.user_id,
        session_id=origin.session_id,
        flags=stored.flags or None,
        attributes=stored.plain or None,
    )
    key = _digest(point.attributes, series.identity)
    return Point(key, series.kind, start, time, labels, reading)


def _reading(point: AnyPoint) -> Reading:
    if isinstance(point, NumberDataPoint):
        return Reading(_number(point))
    if isinstance(point, SummaryDataPoint):
        return Reading(_finite(point.sum), point.count)
    buckets = (
        Buckets.explicit(point)
        if isinstance(point, HistogramDataPoint)
        else Buckets.exponential(point)
    )
    total = _finite(point.sum) if point.HasField("sum") else None
    if total is None and buckets is None:
        raise _RefusedError("with neither a sum nor buckets")
    low = _finite(point.min) if point.HasField("min") else None
    high = _finite(point.max) if point.HasField("max") else None
    if low is not None and high is not None and low > high:
        raise _RefusedError("with a minimum above their maximum")
    return Reading(total, point.count, low, high, buckets)


def _number(point: NumberDataPoint) -> int | float:
    match point.WhichOneof("value"):
        case "as_int":
            return point.as_int
        case "as_double":
            return _finite(point.as_double)
        case _:
            raise _RefusedError("without a value")


def _finite(value: float) -> float:
    if not abs(value) <= MAX_VALUE:
        raise _RefusedError(f"whose value is no number between -{MAX_VALUE:g} and {MAX_VALUE:g}")
    return value
