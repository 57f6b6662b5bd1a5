from __future__ import annotations

import random
from collections.abc import Callable

import orjson
import pytest
from google.rpc import status_pb2  # type: ignore[import-untyped]  # the package ships no types
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from metrics_svc.otlp.codec import (
    Encoding,
    UndecodableError,
    UnsupportedEncodingError,
    decode_metrics,
    decode_traces,
    encode_metrics_response,
    encode_status,
    encode_trace_response,
)
from metrics_svc.otlp.points import map_points
from metrics_svc.otlp.spans import map_spans
from tests.metrics_svc.unit.otlp_messages import (
    NEWEST,
    OLDEST,
    T0_NS,
    as_otlp_json,
    event,
    metrics_request,
    span,
    trace_request,
)

TRACES = trace_request(
    [
        span(
            {
                "text": "ü",
                "number": -(2**63),
                "half": 0.5,
                "yes": True,
                "raw": b"\xff\x00",
                "list": ["a", 1, 2.5, [False]],
                "empty": "",
            },
            kind=Span.SPAN_KIND_CLIENT,
            parent_span_id=b"p" * 8,
            trace_state="a=b",
            flags=257,
            status=Status(code=Status.STATUS_CODE_ERROR, message="no"),
            events=[event("exception", {"exception.type": "E"})],
            links=[Span.Link(trace_id=b"l" * 16, span_id=b"k" * 8)],
        )
    ],
    resource={"service.name": "web"},
)
METRICS = metrics_request(
    [
        Metric(
            name="calls",
            sum=Sum(
                aggregation_temporality=AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA,
                is_monotonic=True,
                data_points=[
                    NumberDataPoint(time_unix_nano=T0_NS, as_int=-3),
                    NumberDataPoint(time_unix_nano=T0_NS, as_double=float("nan")),
                    NumberDataPoint(time_unix_nano=T0_NS, as_double=float("-inf")),
                ],
            ),
        ),
        Metric(
            name="duration",
            exponential_histogram=ExponentialHistogram(
                aggregation_temporality=AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE,
                data_points=[
                    ExponentialHistogramDataPoint(
                        time_unix_nano=T0_NS,
                        count=2**53 + 1,
                        sum=0.0,
                        scale=-3,
                        positive=ExponentialHistogramDataPoint.Buckets(
                            offset=-7, bucket_counts=[1, 2**40]
                        ),
                    )
                ],
            ),
        ),
    ]
)


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        ("application/x-protobuf", Encoding.PROTOBUF),
        ("application/json", Encoding.JSON),
        ("Application/JSON; charset=utf-8", Encoding.JSON),
    ],
)
def test_content_type_names_the_encoding(header: str, encoding: Encoding) -> None:
    assert Encoding.from_content_type(header) is encoding


@pytest.mark.parametrize(
    "header", [None, "", "text/plain", "application/jsonx", "application/grpc"]
)
def test_other_content_type_is_refused(header: str | None) -> None:
    with pytest.raises(UnsupportedEncodingError, match="application/x-protobuf"):
        Encoding.from_content_type(header)


def test_protobuf_and_json_give_the_same_spans() -> None:
    from_protobuf = decode_traces(TRACES.SerializeToString(), Encoding.PROTOBUF)
    from_json = decode_traces(as_otlp_json(TRACES), Encoding.JSON)

    assert from_protobuf == from_json == TRACES


def test_protobuf_and_json_give_the_same_points() -> None:
    from_protobuf = decode_metrics(METRICS.SerializeToString(), Encoding.PROTOBUF)
    from_json = decode_metrics(as_otlp_json(METRICS), Encoding.JSON)

    assert from_protobuf.SerializeToString() == from_json.SerializeToString()


def test_json_takes_what_the_protocol_allows() -> None:
    body = b"""{"resourceSpans": [{"later": {"x": [1]}, "scopeSpans": [{"spans": [{
        "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174", "parentSpanId": "",
        "name": "n", "kind": 2, "startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": 1544712661000000000,
        "attributes": [{"key": "a", "value": {"intValue": "123"}}, {"key": "b", "value": {"intValue": 123}},
                       {"key": "c", "value": {"doubleValue": 1}}, {"key": "d", "value": {}}, {"key": "e", "value": null}],
        "status": null, "trace_state": "snake case is no key of OTLP"}]}]}]}"""

    (span,) = decode_traces(body, Encoding.JSON).resource_spans[0].scope_spans[0].spans

    assert span.trace_id.hex() == "5b8efff798038103d269b633813fc60c"
    assert span.span_id.hex() == "eee19b7ec3c1b174"
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (
        1544712660000000000,
        1544712661000000000,
    )
    assert [pair.value.int_value for pair in span.attributes] == [123, 123, 0, 0, 0]
    assert span.trace_state == ""


@pytest.mark.parametrize("encoding", list(Encoding))
def test_bad_id_costs_its_span_only(encoding: Encoding) -> None:
    spans = [span(), span(trace_id=b"x")]
    body = trace_request(spans).SerializeToString()
    if encoding is Encoding.JSON:
        body = as_otlp_json(trace_request(spans)).replace(b'"78"', b'"no hex"')

    (export,) = map_spans(decode_traces(body, encoding), oldest=OLDEST, newest=NEWEST)

    assert (len(export.admitted), export.rejected) == (1, 1)


def attribute(value: str) -> bytes:
    pair = b'{"attributes": [{"key": "k", "value": %s}]}' % value.encode()
    return b'{"resourceSpans": [{"resource": %s}]}' % pair


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "malformed JSON"),
        (b"[]", "the body must be an object"),
        (b"null", "the body must be an object"),
        (b'{"resourceSpans": {}}', "resourceSpans must be an array"),
        (b'{"resourceSpans": [3]}', "resourceSpans must be an object"),
        (b'{"resourceSpans": [{"schemaUrl": 3}]}', "resourceSpans.schemaUrl must be a string"),
        (b'{"resourceSpans": [{"schemaUrl": "\xff"}]}', "malformed JSON"),
        (b'{"resourceSpans": [{"schemaUrl": "\\ud800"}]}', "malformed JSON"),
        (attribute('{"intValue": "1e3"}'), "attributes.value.intValue must be an integer"),
        (attribute('{"intValue": "' + "9" * 5000 + '"}'), "must be an integer"),
        (attribute('{"intValue": 9223372036854775808}'), "must be between"),
        (attribute('{"intValue": true}'), "must be an integer"),
        (attribute('{"intValue": 1.5}'), "must be an integer"),
        (attribute('{"doubleValue": "a"}'), "must be a number"),
        (attribute('{"doubleValue": []}'), "must be a number"),
        (attribute('{"boolValue": 1}'), "must be true or false"),
        (attribute('{"bytesValue": "?"}'), "must be base64"),
        (
            b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"kind": "SPAN_KIND_SERVER"}]}]}]}',
            "spans.kind must be an integer",
        ),
        (attribute('{"arrayValue":{"values":[' * 60 + "]}}" * 60), "nested more than 100 deep"),
        (b'{"a":' * 5000, "malformed JSON"),
    ],
    ids=range(20),
)
def test_malformed_json_is_refused_with_its_place(body: bytes, reason: str) -> None:
    with pytest.raises(UndecodableError) as raised:
        decode_traces(body, Encoding.JSON)

    assert reason in str(raised.value)


def nested(depth: int) -> bytes:
    """Encode an attribute of lists within lists; protobuf's own encoder refuses to."""
    value = b""
    for field in [b"\x0a", b"\x2a"] * depth + [b"\x12", b"\x0a", b"\x0a", b"\x0a"]:
        length = len(value)
        value = field + bytes([length & 0x7F | 0x80, length >> 7]) + value
    return value


@pytest.mark.parametrize(
    "body",
    [
        b"\xff",
        b"\x0a\xff\xff\xff\xff\x0f",
        b"\x0a\x02\x1a\xff",
        b"\x0a\x04\x1a\x02\xff\xfe",
        nested(60),
    ],
    ids=["no tag", "absurd length", "cut off", "bad UTF-8", "too deep"],
)
def test_malformed_protobuf_is_refused(body: bytes) -> None:
    with pytest.raises(UndecodableError, match="malformed protobuf"):
        decode_traces(body, Encoding.PROTOBUF)


def test_moderate_nesting_decodes() -> None:
    (pair,) = decode_traces(nested(20), Encoding.PROTOBUF).resource_spans[0].resource.attributes

    assert pair.value.WhichOneof("value") == "array_value"


def test_empty_requests_decode() -> None:
    assert decode_traces(b"", Encoding.PROTOBUF) == decode_traces(b"{}", Encoding.JSON)


def decodes_or_refuses(body: bytes, encoding: Encoding) -> None:
    """Neither decoding nor mapping may end in anything but a result or the one error."""
    for decode_and_map in (
        lambda: list(map_spans(decode_traces(body, encoding), oldest=OLDEST, newest=NEWEST)),
        lambda: [
            point.measurement()
            for part in map_points(decode_metrics(body, encoding), oldest=OLDEST, newest=NEWEST)
            for point in part.points
        ],
    ):
        try:
            decode_and_map()
        except UndecodableError:
            continue


@given(body=st.binary(max_size=200), encoding=st.sampled_from(Encoding))
def test_random_bytes_decode_or_are_refused(body: bytes, encoding: Encoding) -> None:
    decodes_or_refuses(body, encoding)


@given(seed=st.integers(0, 2**32), encoding=st.sampled_from(Encoding), traces=st.booleans())
@settings(max_examples=400)
def test_mutated_messages_decode_or_are_refused(
    seed: int, encoding: Encoding, traces: bool
) -> None:
    message = TRACES if traces else METRICS
    body = bytearray(
        message.SerializeToString() if encoding is Encoding.PROTOBUF else as_otlp_json(message)
    )
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 8)):
        position = chance.randrange(len(body))
        body[position : position + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))

    decodes_or_refuses(bytes(body), encoding)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "resourceSpans",
                    "scopeSpans",
                    "spans",
                    "resource",
                    "attributes",
                    "key",
                    "value",
                    "traceId",
                    "kind",
                    "intValue",
                    "arrayValue",
                    "values",
                    "resourceMetrics",
                    "scopeMetrics",
                    "metrics",
                    "sum",
                    "dataPoints",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(document=json_values)
def test_any_json_decodes_or_is_refused(document: object) -> None:
    decodes_or_refuses(orjson.dumps(document), Encoding.JSON)


@pytest.mark.parametrize(
    ("encode", "response", "counter"),
    [
        (encode_trace_response, ExportTraceServiceResponse, "rejected_spans"),
        (encode_metrics_response, ExportMetricsServiceResponse, "rejected_data_points"),
    ],
    ids=["traces", "metrics"],
)
def test_partial_success_is_told_in_both_encodings(
    encode: Callable[[Encoding, int, str], bytes],
    response: type[ExportTraceServiceResponse | ExportMetricsServiceResponse],
    counter: str,
) -> None:
    answer = response.FromString(encode(Encoding.PROTOBUF, 3, "why"))

    assert getattr(answer.partial_success, counter) == 3
    assert answer.partial_success.error_message == "why"
    assert orjson.loads(encode(Encoding.JSON, 3, "why")) == {
        "partialSuccess": {
            {"rejected_spans": "rejectedSpans"}.get(counter, "rejectedDataPoints"): "3",
            "errorMessage": "why",
        }
    }


def test_full_success_leaves_partial_success_unset() -> None:
    assert encode_trace_response(Encoding.PROTOBUF, 0, "") == b""
    assert encode_metrics_response(Encoding.PROTOBUF, 0, "") == b""
    assert encode_trace_response(Encoding.JSON, 0, "") == b"{}"
    assert encode_metrics_response(Encoding.JSON, 0, "") == b"{}"


@pytest.mark.parametrize(
    ("code", "message"),
    [(14, "\u00fc" * 100), (0, ""), (3, "no"), (300, "x" * 20_000)],
    ids=range(4),
)
def test_status_is_told_in_both_encodings(code: int, message: str) -> None:
    status = status_pb2.Status.FromString(encode_status(Encoding.PROTOBUF, code, message))

    assert (status.code, status.message) == (code, message)
    assert orjson.loads(encode_status(Encoding.JSON, code, message)) == {
        "code": code,
        "message": message,
    }
