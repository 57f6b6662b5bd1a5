"""OTLP/HTTP bodies: protobuf and JSON in, answers in the encoding of the request."""

from __future__ import annotations

from enum import Enum
from typing import Self, TypeVar, cast

import orjson
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from metrics_svc.otlp.json_mapping import MalformedError, message_fields

Request = TypeVar("Request", bound=Message)


class UnsupportedEncodingError(Exception):
    """The content type is neither of the two that OTLP/HTTP defines."""


class UndecodableError(Exception):
    """The body is not the message that it claims to be; sending it again will not help."""


class Encoding(Enum):
    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"

    @classmethod
    def from_content_type(cls, content_type: str | None) -> Self:
        """Return the encoding that a Content-Type header names, whatever its parameters are."""
        media_type = (content_type or "").partition(";")[0].strip().lower()
        try:
            return cls(media_type)
        except ValueError:
            raise UnsupportedEncodingError(
                f"content type {media_type[:100]!r} is not supported: send {cls.PROTOBUF.value} or {cls.JSON.value}"
            ) from None


def decode_traces(body: bytes, encoding: Encoding) -> ExportTraceServiceRequest:
    return _decode(ExportTraceServiceRequest, body, encoding)


def decode_metrics(body: bytes, encoding: Encoding) -> ExportMetricsServiceRequest:
    return _decode(ExportMetricsServiceRequest, body, encoding)


def _decode(kind: type[Request], body: bytes, encoding: Encoding) -> Request:
    try:
        if encoding is Encoding.PROTOBUF:
            return kind.FromString(body)
        return kind(**message_fields(cast(Descriptor, kind.DESCRIPTOR), orjson.loads(body)))
    except DecodeError as error:
        raise UndecodableError(f"malformed protobuf: {error}") from None
    except orjson.JSONDecodeError as error:
        raise UndecodableError(f"malformed JSON: {error}") from None
    except MalformedError as error:
        raise UndecodableError(f"malformed OTLP/JSON: {error}") from None


def encode_trace_response(encoding: Encoding, rejected: int, message: str) -> bytes:
    """Return the answer to an export; a full success leaves ``partial_success`` unset, as the protocol wants."""
    if encoding is Encoding.JSON:
        return _json_response("rejectedSpans", rejected, message)
    answer = ExportTraceServiceResponse()
    if rejected or message:
        answer.partial_success.CopyFrom(
            ExportTracePartialSuccess(rejected_spans=rejected, error_message=message)
        )
    return answer.SerializeToString()


def encode_metrics_response(encoding: Encoding, rejected: int, message: str) -> bytes:
    """Return the answer to an export of metrics; see ``encode_trace_response``."""
    if encoding is Encoding.JSON:
        return _json_response("rejectedDataPoints", rejected, message)
    answer = ExportMetricsServiceResponse()
    if rejected or message:
        answer.partial_success.CopyFrom(
            ExportMetricsPartialSuccess(rejected_data_points=rejected, error_message=message)
        )
    return answer.SerializeToString()


def _json_response(counter: str, rejected: int, message: str) -> bytes:
    if not rejected and not message:
        return b"{}"
    # ProtoJSON writes 64-bit integers as strings.
    return orjson.dumps({"partialSuccess": {counter: str(rejected), "errorMessage": message}})


def encode_status(encoding: Encoding, code: int, message: str) -> bytes:
    """Return a ``google.rpc.Status``, the body of every OTLP/HTTP error. ``code`` is a gRPC code."""
    if encoding is Encoding.JSON:
        return orjson.dumps({"code": code, "message": message})
    # int32 code = 1; string message = 2. Two fields do not justify the package that holds the message.
    text = message.encode()
    number = b"\x08" + _varint(code) if code else b""
    return number + (b"\x12" + _varint(len(text)) + text if text else b"")


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
