import asyncio
import gzip
import random
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message

from windsock_kit.body import ENCODINGS, decompress, read_body
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

MIB = 1024 * 1024


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "deflate": zlib.compress,
}
every_encoding = pytest.mark.parametrize("encoding", COMPRESS)


def request_of(chunks: Sequence[bytes], **headers: str) -> Request:
    messages: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks
    ]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    remaining = iter(messages)

    async def receive() -> Message:
        return next(remaining)

    raw = [(key.replace("_", "-").encode(), value.encode()) for key, value in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, receive)


async def read(
    *chunks: bytes, max_bytes: int = MIB, max_decompressed: int = MIB, **headers: str
) -> bytes:
    return await read_body(
        request_of(chunks, **headers), max_bytes=max_bytes, max_decompressed_bytes=max_decompressed
    )


async def test_plain_body_is_put_together_from_its_chunks() -> None:
    assert await read(b"ab", b"", b"cd") == b"abcd"


async def test_empty_body_is_empty() -> None:
    assert await read() == b""


async def test_body_that_does_not_arrive_in_time_is_given_up() -> None:
    async def receive() -> Message:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"x", "more_body": True}

    request = Request({"type": "http", "method": "POST", "headers": []}, receive)

    with pytest.raises(SlowBodyError) as raised:
        await read_body(request, max_bytes=MIB, max_decompressed_bytes=MIB, seconds=0.02)

    assert raised.value.headers() == {"Connection": "close"}


@every_encoding
async def test_compressed_body_is_decoded_from_chunks(encoding: str) -> None:
    data = COMPRESS[encoding](b"events" * 100)

    assert await read(data[:7], data[7:], content_encoding=encoding) == b"events" * 100


@every_encoding
async def test_large_body_is_decoded_the_same(encoding: str) -> None:
    data = random.Random(1).randbytes(300_000)

    assert await read(COMPRESS[encoding](data), content_encoding=encoding) == data


@pytest.mark.parametrize("spelling", ["GZIP", " gzip ", "x-gzip"])
async def test_encoding_is_named_in_any_spelling(spelling: str) -> None:
    assert await read(gzip.compress(b"x"), content_encoding=spelling) == b"x"


async def test_identity_is_an_encoding_too() -> None:
    assert await read(b"x", content_encoding="identity") == b"x"


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "\N{LATIN SMALL LETTER E WITH ACUTE}"])
async def test_unknown_encoding_is_refused_with_the_known_ones(encoding: str) -> None:
    with pytest.raises(UnsupportedEncodingError) as caught:
        await read(b"x", content_encoding=encoding)

    assert caught.value.allowed == ENCODINGS


async def test_body_of_exactly_the_limit_passes() -> None:
    assert await read(b"x" * 10, max_bytes=10) == b"x" * 10


async def test_body_over_the_limit_names_limit_and_value() -> None:
    with pytest.raises(TooLargeError, match="limit of 10 bytes") as caught:
        await read(b"x" * 6, b"x" * 5, max_bytes=10)

    assert caught.value.extra == {"limit": "max_bytes", "max_bytes": 10}


async def test_plain_body_may_not_be_larger_than_a_decoded_one() -> None:
    with pytest.raises(TooLargeError, match="decoded body is over the limit of 5 bytes"):
        await read(b"x" * 6, max_bytes=10, max_decompressed=5)


async def test_announced_length_is_refused_before_reading() -> None:
    def never() -> bytes:
        raise AssertionError("the body was read")

    async def receive() -> Message:
        return {"type": "http.request", "body": never()}

    headers = [(b"content-length", b"11")]
    request: Request = Request({"type": "http", "method": "POST", "headers": headers}, receive)

    with pytest.raises(TooLargeError):
        await read_body(request, max_bytes=10, max_decompressed_bytes=10)


async def test_length_that_lies_is_counted_anyway() -> None:
    with pytest.raises(TooLargeError):
        await read(b"x" * 11, max_bytes=10, content_length="3")


@every_encoding
async def test_decoded_size_is_limited_on_its_own(encoding: str) -> None:
    data = COMPRESS[encoding](b"x" * 1001)

    with pytest.raises(TooLargeError, match="decompressed body is over the limit of 1000") as error:
        await read(data, max_decompressed=1000, content_encoding=encoding)

    assert error.value.extra["limit"] == "max_decompressed_bytes"
    assert len(await read(data, max_decompressed=1001, content_encoding=encoding)) == 1001


@every_encoding
def test_bomb_is_refused_before_memory_grows(encoding: str) -> None:
    bomb = COMPRESS[encoding](bytes(64 * MIB))

    tracemalloc.start()
    with pytest.raises(TooLargeError):
        decompress(bomb, encoding, max_bytes=MIB)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 4 * MIB


def test_bomb_of_many_members_is_refused() -> None:
    member = gzip.compress(bytes(MIB // 2))

    with pytest.raises(TooLargeError):
        decompress(member * 3, "gzip", max_bytes=MIB)


@every_encoding
def test_body_of_empty_members_alone_costs_no_time(encoding: str) -> None:
    member = COMPRESS[encoding](b"")

    with pytest.raises(BadRequestError, match="members"):
        decompress(member * (2 * MIB // len(member)), encoding, max_bytes=MIB)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@given(parts=st.lists(st.binary(max_size=50), min_size=1, max_size=4))
def test_members_in_a_row_are_one_body(encoding: str, parts: list[bytes]) -> None:
    data = b"".join(COMPRESS[encoding](part) for part in parts)

    assert decompress(data, encoding, max_bytes=MIB) == b"".join(parts)


@every_encoding
@given(data=st.binary(max_size=2000))
def test_what_was_compressed_comes_back(encoding: str, data: bytes) -> None:
    assert decompress(COMPRESS[encoding](data), encoding, max_bytes=2000) == data


@given(data=st.binary(max_size=2000))
def test_bare_deflate_stream_is_read(data: bytes) -> None:
    assert decompress(raw_deflate(data), "deflate", max_bytes=2000) == data


@every_encoding
@given(data=st.binary(max_size=500), share=st.floats(0, 1, exclude_max=True))
def test_cut_body_is_refused(encoding: str, data: bytes, share: float) -> None:
    whole = COMPRESS[encoding](data)

    with pytest.raises(BadRequestError):
        decompress(whole[: int(len(whole) * share)], encoding, max_bytes=MIB)


@every_encoding
@given(data=st.binary(max_size=300))
def test_noise_is_refused_or_read_but_never_a_bug(encoding: str, data: bytes) -> None:
    with suppress(BadRequestError, TooLargeError):
        assert len(decompress(data, encoding, max_bytes=1000)) <= 1000


def test_zstd_window_over_eight_mebibytes_is_refused() -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27}
    compressor = zstd.ZstdCompressor(options=options)
    data = compressor.compress(b"x" * 100) + compressor.flush()

    with pytest.raises(BadRequestError):
        decompress(data, "zstd", max_bytes=MIB)
