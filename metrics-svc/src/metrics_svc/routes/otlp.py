"""OTLP/HTTP: ``POST /v1/traces`` and ``/v1/metrics``, also below ``/api/metrics/otlp``.

The specification fixes what is answered: in the encoding of the request, errors as ``google.rpc.Status``. Clients send
again after 429, 502, 503 and 504, and after nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import TypeVar

from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metrics_svc.otlp import codec
from metrics_svc.otlp.codec import Encoding, UndecodableError, UnsupportedEncodingError
from metrics_svc.otlp.points import PointExport, map_points
from metrics_svc.otlp.spans import SpanExport, map_spans
from metrics_svc.state import State
from windsock_kit.body import read_body
from windsock_kit.errors import ServiceError

# This much JSON takes about 5 ms to decode, mostly in Python, where a thread lets others go on. Protobuf is decoded by
# one call that never does (20 MiB in 60 ms), so a thread would gain nothing.
INLINE_JSON_BYTES = 64 * 1024

# Codes of gRPC: INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNAVAILABLE.
_INVALID, _EXHAUSTED, _UNAVAILABLE = 3, 8, 14
_CODES: Mapping[int, int] = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: _EXHAUSTED,
    HTTPStatus.SERVICE_UNAVAILABLE: _UNAVAILABLE,
}

Decoded = TypeVar("Decoded", bound=Message)
Export = Callable[[State, bytes, Encoding], Awaitable[bytes]]


async def _traces(state: State, body: bytes, encoding: Encoding) -> bytes:
    request = await _decoded(codec.decode_traces, body, encoding)
    whole = SpanExport()
    now, limits = state["clock"](), state["limits"]
    for part in map_spans(request, oldest=now - limits.age, newest=now + limits.ahead):
        # Parts may be empty and wait for nothing, but other requests go on beside a large one.
        await asyncio.sleep(0)
        await state["otlp"].spans(part.admitted)
        whole.note(part)
    state["instruments"].refuse_otlp("spans", whole.refusals)
    return codec.encode_trace_response(encoding, whole.rejected, whole.message)


async def _metrics(state: State, body: bytes, encoding: Encoding) -> bytes:
    request = await _decoded(codec.decode_metrics, body, encoding)
    whole = PointExport()
    now, limits = state["clock"](), state["limits"]
    for part in map_points(request, oldest=now - limits.age, newest=now + limits.ahead):
        await asyncio.sleep(0)
        await state["otlp"].points(part.points)
        whole.note(part)
    state["instruments"].refuse_otlp("points", whole.refusals)
    return codec.encode_metrics_response(encoding, whole.rejected, whole.message)


async def _decoded(
    decode: Callable[[bytes, Encoding], Decoded], body: bytes, encoding: Encoding
) -> Decoded:
    if encoding is Encoding.PROTOBUF or len(body) <= INLINE_JSON_BYTES:
        return decode(body, encoding)
    return await asyncio.to_thread(decode, body, encoding)


async def _answer(request: Request[State], export: Export) -> Response:
    # Where the encoding is unknown, JSON is what a person can read.
    encoding = Encoding.JSON
    headers: Mapping[str, str] = {}
    try:
        encoding = Encoding.from_content_type(request.headers.get("content-type"))
        limit = request.state["max_otlp_body_bytes"]
        body = await read_body(request, max_bytes=limit, max_decompressed_bytes=limit)
        return _rendered(encoding, HTTPStatus.OK, await export(request.state, body, encoding))
    except UnsupportedEncodingError as error:
        status, detail = HTTPStatus.UNSUPPORTED_MEDIA_TYPE, str(error)
        headers = {"Accept": ", ".join(known.value for known in Encoding)}
    except UndecodableError as error:
        status, detail = HTTPStatus.BAD_REQUEST, str(error)
    except ServiceError as error:
        status, detail, headers = error.status, error.detail, error.headers()
    answer = codec.encode_status(encoding, _CODES.get(status, _INVALID), detail)
    return _rendered(encoding, status, answer, headers)


def _rendered(
    encoding: Encoding, status: HTTPStatus, body: bytes, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(body, status.value, headers, encoding.value)


async def export_traces(request: Request[State]) -> Response:
    """Store the events of spans; the answer comes after their commit."""
    return await _answer(request, _traces)


async def export_metrics(request: Request[State]) -> Response:
    """Store metric points as measurements; the answer comes after their commit."""
    return await _answer(request, _metrics)


routes = [
    Route(f"{prefix}/v1/{signal}", export, methods=["POST"])
    for prefix in ("", "/api/metrics/otlp")
    for signal, export in (("traces", export_traces), ("metrics", export_metrics))
]
