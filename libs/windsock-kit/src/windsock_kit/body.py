"""Request bodies, bounded before and after decompression."""

import asyncio
import sys
import zlib
from collections.abc import Callable
from typing import Any, Protocol

from starlette.requests import Request

from windsock_kit.errors import (
    BadRequestError,
    SlowBodyError,
    TooLargeError,
    UnsupportedEncodingError,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ENCODINGS = ("gzip", "zstd", "deflate", "identity")

# RFC 9659: a decoder of Content-Encoding zstd need not support windows over 8 MiB.
_ZSTD_OPTIONS: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 23}
BODY_SECONDS = 60.0
_INLINE_BYTES = 64 * 1024
# Each takes the libraries a copy of all that follows it: a body of nothing but empty ones would take minutes.
_MAX_MEMBERS = 100
_GZIP_BITS, _ZLIB_BITS, _RAW_BITS = 31, 15, -15


class _Decompressor(Protocol):
    """What zlib's and zstd's decompressors have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _gzip(_: bytes) -> _Decompressor:
    return zlib.decompressobj(_GZIP_BITS)


def _zstd(_: bytes) -> _Decompressor:
    return zstd.ZstdDecompressor(options=_ZSTD_OPTIONS)


def _deflate(data: bytes) -> _Decompressor:
    # RFC 9110 means the zlib format, but some clients send the bare stream (RFC 1951).
    has_header = data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0
    return zlib.decompressobj(_ZLIB_BITS if has_header else _RAW_BITS)


_DECOMPRESSORS: dict[str, Callable[[bytes], _Decompressor]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "zstd": _zstd,
    "deflate": _deflate,
}


async def read_body(
    request: Request[Any],
    *,
    max_bytes: int,
    max_decompressed_bytes: int,
    seconds: float = BODY_SECONDS,
) -> bytes:
    """Return the decoded body, refusing it before it takes more memory than allowed.

    Raises ``UnsupportedEncodingError`` before reading, ``TooLargeError`` when the body is over
    ``max_bytes`` as sent or ``max_decompressed_bytes`` when decoded, ``SlowBodyError`` when it is
    not there after ``seconds``, and ``BadRequestError`` when it is damaged or cut short. Only a small body is decoded inline: 64 KiB of gzip, which hold
    some 450 kB of JSON, take about 0.7 ms.
    """
    encoding = request.headers.get("content-encoding", "").strip().lower() or "identity"
    if encoding != "identity" and encoding not in _DECOMPRESSORS:
        raise UnsupportedEncodingError(
            f"Content-Encoding {encoding[:50]!r} is not supported; use {', '.join(ENCODINGS)}",
            allowed=ENCODINGS,
        )

    try:
        async with asyncio.timeout(seconds):
            raw = await _read_raw(request, max_bytes)
    except TimeoutError:
        raise SlowBodyError(f"the body did not arrive within {seconds:g} seconds") from None
    if encoding == "identity":
        if len(raw) > max_decompressed_bytes:
            raise _too_large("decoded body", max_decompressed_bytes, "max_decompressed_bytes")
        return raw
    if len(raw) <= _INLINE_BYTES:
        return decompress(raw, encoding, max_bytes=max_decompressed_bytes)
    # Both libraries let go of the interpreter's lock, so other requests go on meanwhile.
    return await asyncio.to_thread(decompress, raw, encoding, max_bytes=max_decompressed_bytes)


async def _read_raw(request: Request[Any], max_bytes: int) -> bytes:
    # The header is only a hint: a client may leave it out or lie, so the bytes are counted too.
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise _too_large("body", max_bytes, "max_bytes")

    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > max_bytes:
            raise _too_large("body", max_bytes, "max_bytes")
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def decompress(data: bytes, encoding: str, *, max_bytes: int) -> bytes:
    """Decode ``data``, which may be up to 100 members in a row, to at most ``max_bytes``.

    Raises ``TooLargeError`` and ``BadRequestError`` like ``read_body``; ``encoding`` must be one of
    ``ENCODINGS`` but identity.
    """
    start = _DECOMPRESSORS[encoding]
    parts: list[bytes] = []
    left = max_bytes
    for _ in range(_MAX_MEMBERS):
        if not data:
            raise BadRequestError(f"the {encoding} body ends too early")
        decompressor = start(data)
        try:
            part = decompressor.decompress(data, left + 1)
        except (zlib.error, zstd.ZstdError) as error:
            raise BadRequestError(f"the {encoding} body is damaged") from error
        if len(part) > left:
            raise _too_large("decompressed body", max_bytes, "max_decompressed_bytes")
        parts.append(part)
        left -= len(part)
        if not decompressor.eof:
            raise BadRequestError(f"the {encoding} body ends too early")
        data = decompressor.unused_data
        if not data:
            return b"".join(parts)
    raise BadRequestError(f"the {encoding} body has more than {_MAX_MEMBERS} members")


def _too_large(what: str, limit: int, name: str) -> TooLargeError:
    return TooLargeError(
        f"the {what} is over the limit of {limit} bytes", extra={"limit": name, "max_bytes": limit}
    )
