"""Factories for OTLP messages, and a window in which they lie."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from google.protobuf import json_format
from google.protobuf.message import Message
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from metrics_svc.otlp.attributes import nanoseconds
from metrics_svc.otlp.points import PointExport, map_points
from metrics_svc.otlp.spans import SpanExport, map_spans

T0 = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
T0_NS = nanoseconds(T0)
SECOND = 1_000_000_000
OLDEST = T0 - timedelta(days=7)
NEWEST = T0 + timedelta(minutes=5)


def any_value(value: object) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=[any_value(item) for item in value]))
        case _:
            raise TypeError(type(value))


def attributes(values: Mapping[str, object]) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in values.items()]


def span(values: Mapping[str, object] | None = None, **fields: Any) -> Span:
    """Make a span of two seconds that ended at T0."""
    defaults: dict[str, Any] = {
        "trace_id": b"t" * 16,
        "span_id": b"s" * 8,
        "name": "chat gpt-4o",
        "start_time_unix_nano": T0_NS - 2 * SECOND,
        "end_time_unix_nano": T0_NS,
    }
    return Span(**defaults | fields, attributes=attributes(values or {}))


def event(name: str, values: Mapping[str, object]) -> Span.Event:
    return Span.Event(name=name, time_unix_nano=T0_NS, attributes=attributes(values))


def trace_request(
    spans: Sequence[Span], *, resource: Mapping[str, object] | None = None, scope: str = "test"
) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.extend(attributes(resource or {}))
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = scope
    scope_spans.spans.extend(spans)
    return request


def mapped(
    *spans: Span, resource: Mapping[str, object] | None = None, scope: str = "test"
) -> SpanExport:
    request = trace_request(spans, resource=resource, scope=scope)
    (export,) = map_spans(request, oldest=OLDEST, newest=NEWEST)
    return export


def metrics_request(
    metrics: Sequence[Metric], *, resource: Mapping[str, object] | None = None
) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    resource_metrics = request.resource_metrics.add()
    resource_metrics.resource.attributes.extend(attributes(resource or {}))
    resource_metrics.scope_metrics.add().metrics.extend(metrics)
    return request


def mapped_points(*metrics: Metric, resource: Mapping[str, object] | None = None) -> PointExport:
    request = metrics_request(metrics, resource=resource)
    (export,) = map_points(request, oldest=OLDEST, newest=NEWEST)
    return export


def as_otlp_json(message: Message) -> bytes:
    """Encode by protobuf's own JSON mapping, then change what OTLP changes: ids are hexadecimal."""
    document = json_format.MessageToDict(message, use_integers_for_enums=True)
    return orjson.dumps(_with_hex_ids(document))


def _with_hex_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_hex_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64decode(item).hex()
        if key in {"traceId", "spanId", "parentSpanId"} and isinstance(item, str)
        else _with_hex_ids(item)
        for key, item in value.items()
    }
