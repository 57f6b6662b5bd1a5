from __future__ import annotations

import math
import random
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    DataPointFlags,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
    Summary,
    SummaryDataPoint,
)

from metrics_svc.domain.event import Measurement
from metrics_svc.otlp.buckets import MAX_VALUE
from metrics_svc.otlp.points import Kind, PointExport, map_points
from tests.metrics_svc.unit.otlp_messages import (
    NEWEST,
    OLDEST,
    SECOND,
    T0,
    T0_NS,
    attributes,
    mapped_points,
    metrics_request,
)

DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
UNSPECIFIED = AggregationTemporality.AGGREGATION_TEMPORALITY_UNSPECIFIED


def number(**fields: Any) -> NumberDataPoint:
    times = {"start_time_unix_nano": T0_NS - 60 * SECOND, "time_unix_nano": T0_NS}
    return NumberDataPoint(**times | fields)


def gauge(*points: NumberDataPoint, name: str = "queue.depth") -> Metric:
    return Metric(name=name, unit="1", gauge=Gauge(data_points=points))


def histogram(temporality: AggregationTemporality.ValueType = DELTA, **fields: Any) -> Metric:
    times = {"start_time_unix_nano": T0_NS - 60 * SECOND, "time_unix_nano": T0_NS}
    point = HistogramDataPoint(**times | fields)
    data = Histogram(aggregation_temporality=temporality, data_points=[point])
    return Metric(name="gen_ai.client.operation.duration", unit="s", histogram=data)


def exponential(**fields: Any) -> Metric:
    point = ExponentialHistogramDataPoint(time_unix_nano=T0_NS, **fields)
    data = ExponentialHistogram(aggregation_temporality=DELTA, data_points=[point])
    return Metric(name="latency", unit="ms", exponential_histogram=data)


def measurement(export: PointExport) -> Measurement:
    (point,) = export.points
    return point.measurement()


def test_gauge_is_one_observation_under_its_own_name() -> None:
    values = {"queue": "fast", "windsock.operation": "answer", "windsock.gap_priority": "high"}

    export = mapped_points(
        gauge(number(as_int=7, attributes=attributes(values))),
        resource={"service.name": "web", "deployment.environment.name": "staging"},
    )

    assert export.points[0].kind is Kind.GAUGE
    assert measurement(export) == Measurement(
        timestamp=T0,
        name="queue.depth",
        unit="1",
        operation="answer",
        environment="staging",
        gap_priority="high",
        attributes={"service.name": "web", "queue": "fast"},
        total=7.0,
        low=7.0,
        high=7.0,
    )
    assert (export.rejected, export.message) == (0, "")


@pytest.mark.parametrize(
    ("temporality", "monotonic", "kind"),
    [
        (DELTA, True, Kind.DELTA),
        (DELTA, False, Kind.DELTA),
        (CUMULATIVE, True, Kind.CUMULATIVE),
        (CUMULATIVE, False, Kind.GAUGE),
    ],
    ids=["delta", "delta that may fall", "cumulative", "cumulative that may fall"],
)
def test_sum_is_read_by_its_temporality(
    temporality: AggregationTemporality.ValueType, monotonic: bool, kind: Kind
) -> None:
    data = Sum(
        aggregation_temporality=temporality,
        is_monotonic=monotonic,
        data_points=[number(as_double=2.5)],
    )

    (point,) = mapped_points(Metric(name="n", sum=data)).points

    assert point.kind is kind
    assert point.measurement().total == 2.5


def test_histogram_keeps_count_sum_extremes_and_a_value_for_each_bucket() -> None:
    found = measurement(
        mapped_points(
            histogram(
                count=10,
                sum=30.0,
                min=0.5,
                max=20.0,
                explicit_bounds=[1.0, 4.0, 16.0],
                bucket_counts=[2, 5, 0, 3],
            )
        )
    )

    assert (found.count, found.total, found.low, found.high) == (10, 30.0, 0.5, 20.0)
    values = [value for value, _ in found.bins]
    assert [count for _, count in found.bins] == [2, 5, 3]
    assert values == pytest.approx([math.sqrt(0.5), 2.0, math.sqrt(16 * 20)])


def test_open_ends_without_extremes_stay_at_their_bounds() -> None:
    found = measurement(
        mapped_points(
            histogram(count=3, sum=1.0, explicit_bounds=[1.0, 2.0], bucket_counts=[2, 0, 1])
        )
    )

    assert found.bins == ((0.5, 2), (2.0, 1))


def test_histogram_without_bounds_has_no_bins() -> None:
    found = measurement(mapped_points(histogram(count=4, sum=8.0)))

    assert (found.count, found.total, found.bins) == (4, 8.0, ())


def test_sum_that_was_not_sent_is_estimated_from_the_buckets() -> None:
    found = measurement(
        mapped_points(histogram(count=3, explicit_bounds=[-2.0, 2.0], bucket_counts=[1, 2, 0]))
    )

    assert (found.count, found.total) == (3, -2.0)


def test_exponential_histogram_keeps_every_value_within_its_relative_error() -> None:
    scale = 4
    base = 2 ** (2**-scale)
    chance = random.Random(7)
    samples = sorted(chance.lognormvariate(5, 2) for _ in range(500))
    indexes = [math.ceil(math.log(sample, base)) - 1 for sample in samples]
    offset = min(indexes)
    counts = [indexes.count(index) for index in range(offset, max(indexes) + 1)]

    found = measurement(
        mapped_points(
            exponential(
                count=501,
                sum=math.fsum(samples),
                scale=scale,
                zero_count=1,
                positive=ExponentialHistogramDataPoint.Buckets(offset=offset, bucket_counts=counts),
            )
        )
    )

    stood_for = [value for value, count in found.bins for _ in range(count)]
    assert stood_for[0] == 0.0
    for exact, value in zip(samples, stood_for[1:], strict=True):
        assert abs(value - exact) / exact <= math.sqrt(base) - 1 + 1e-9


def test_negative_buckets_come_first_and_rise() -> None:
    found = measurement(
        mapped_points(
            exponential(
                count=4,
                sum=0.0,
                scale=0,
                negative=ExponentialHistogramDataPoint.Buckets(offset=0, bucket_counts=[1, 1]),
                positive=ExponentialHistogramDataPoint.Buckets(offset=0, bucket_counts=[2]),
            )
        )
    )

    assert [value for value, _ in found.bins] == pytest.approx([-(2**1.5), -(2**0.5), 2**0.5])


def test_summary_keeps_count_and_sum() -> None:
    data = Summary(data_points=[SummaryDataPoint(time_unix_nano=T0_NS, count=4, sum=8.0)])

    (point,) = mapped_points(Metric(name="rpc", summary=data)).points

    assert point.kind is Kind.CUMULATIVE
    assert (point.measurement().count, point.measurement().total) == (4, 8.0)


def test_point_that_says_no_value_is_left_out_and_not_refused() -> None:
    flags = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK

    export = mapped_points(gauge(number(flags=flags), number(as_int=1)))

    assert (len(export.points), export.rejected) == (1, 0)


REFUSED = {
    "without a value": gauge(number()),
    "whose value is no number between -1e+77 and 1e+77": gauge(number(as_double=math.nan)),
    "too old": gauge(number(as_int=1, start_time_unix_nano=0, time_unix_nano=1)),
    "in the future": gauge(number(as_int=1, time_unix_nano=2**64 - 1)),
    "that start after their time": gauge(number(as_int=1, start_time_unix_nano=T0_NS + 1)),
    "without a metric name": gauge(number(as_int=1), name=""),
    "with a metric name that is longer than 200 or has a NUL": gauge(number(as_int=1), name="n\0"),
    "without an aggregation temporality": histogram(UNSPECIFIED, count=0, sum=0.0),
    "with neither a sum nor buckets": histogram(count=1),
    "with bucket counts that do not fit their bounds": histogram(
        count=1, explicit_bounds=[1.0], bucket_counts=[1]
    ),
    "with bounds that do not rise": histogram(
        count=1, explicit_bounds=[2.0, 1.0], bucket_counts=[1, 0, 0]
    ),
    "with buckets that do not add up to their count": histogram(
        count=5, explicit_bounds=[1.0], bucket_counts=[1, 1]
    ),
    "with more than 2048 buckets": histogram(
        count=0, explicit_bounds=range(3000), bucket_counts=[0] * 3001
    ),
    "with a scale outside of -10 to 20": exponential(count=0, sum=0.0, scale=-(2**31)),
    "with a minimum above their maximum": histogram(count=1, sum=1.0, min=2.0, max=1.0),
    "with more than 1000000000 observations": histogram(DELTA, count=2**64 - 1, sum=1.0),
}


@pytest.mark.parametrize("reason", list(REFUSED))
def test_bad_point_is_refused_with_its_reason_and_the_good_one_kept(reason: str) -> None:
    export = mapped_points(REFUSED[reason], gauge(number(as_int=1)))

    assert len(export.points) == 1
    assert export.message == f"1 data points refused: 1 {reason}"
    assert export.rejected == 1


def test_extreme_exponential_buckets_stay_finite() -> None:
    for offset in (-(2**31), 2**31 - 2):
        buckets = ExponentialHistogramDataPoint.Buckets(offset=offset, bucket_counts=[1])

        found = measurement(
            mapped_points(exponential(count=1, sum=1.0, scale=-10, positive=buckets))
        )

        assert found.bins[0][0] in (MAX_VALUE, pytest.approx(0))


def test_points_come_in_parts_that_hold_each_once() -> None:
    request = metrics_request([gauge(*(number(as_int=value) for value in range(5)))])

    parts = list(map_points(request, oldest=OLDEST, newest=NEWEST, size=2))

    assert [len(part.points) for part in parts] == [2, 2, 1]
    values = [point.measurement().total for part in parts for point in part.points]
    assert values == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_series_is_told_apart_by_everything_that_identifies_it() -> None:
    plain = gauge(number(as_int=1))
    series = [
        mapped_points(plain),
        mapped_points(plain, resource={"service.instance.id": "b"}),
        mapped_points(gauge(number(as_int=1), name="other")),
        mapped_points(gauge(number(as_int=1, attributes=attributes({"queue": "fast"})))),
        mapped_points(gauge(number(as_int=1, attributes=attributes({"queue": ["fast"]})))),
        mapped_points(
            Metric(name="queue.depth", unit="2", gauge=Gauge(data_points=[number(as_int=1)]))
        ),
        mapped_points(
            Metric(
                name="queue.depth",
                unit="1",
                sum=Sum(aggregation_temporality=DELTA, data_points=[number(as_int=1)]),
            )
        ),
    ]

    assert len({export.points[0].series_key for export in series}) == len(series)
    assert {len(export.points[0].series_key) for export in series} == {16}


def test_order_of_attributes_and_value_do_not_change_the_series() -> None:
    one = number(as_int=1, attributes=attributes({"a": "1", "b": 2}))
    other = number(as_int=9, attributes=attributes({"b": 2, "a": "1"}))

    first, second = mapped_points(gauge(one, other)).points

    assert first.series_key == second.series_key


def test_point_has_the_same_key_when_it_is_sent_again() -> None:
    (first,) = mapped_points(gauge(number(as_int=1))).points
    (again,) = mapped_points(gauge(number(as_int=1))).points
    (later,) = mapped_points(gauge(number(as_int=1, time_unix_nano=T0_NS + 1))).points
    (restarted,) = mapped_points(gauge(number(as_int=1, start_time_unix_nano=1))).points

    assert first.key == again.key
    assert len({first.key, later.key, restarted.key}) == 3
    assert len(first.key) == 24
