import gzip
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.traces import (
    AZURE,
    MOONCAKE,
    BadLineError,
    TraceCall,
    TraceError,
    detect_format,
    read_calls,
)

HEADER = b"TIMESTAMP,ContextTokens,GeneratedTokens\n"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def test_azure_row_of_seven_decimals_becomes_a_call() -> None:
    lines = [
        HEADER,
        b"2023-11-16 18:15:46.6805900,374,44\r\n",
        b"2023-11-16 18:15:50.9951690,396,109",
    ]

    first, second = read_calls(lines, AZURE)

    assert first == TraceCall(0.0, 374, 44)
    assert second.offset_seconds == pytest.approx(4.314579, abs=1e-6)
    assert (second.input_tokens, second.output_tokens) == (396, 109)


def test_azure_time_with_an_offset_is_understood() -> None:
    lines = [
        HEADER,
        b"2024-05-10 00:00:00.009930+00:00,1,1",
        b"2024-05-10 02:00:01.009930+02:00,1,1",
    ]

    _, second = read_calls(lines, AZURE)

    assert second.offset_seconds == pytest.approx(1.0)


def test_mooncake_row_becomes_a_call_with_its_blocks() -> None:
    lines = [
        b'{"timestamp": 3000, "input_length": 600, "output_length": 52, "hash_ids": [46, 47]}\n',
        b'{"timestamp": 4500, "input_length": 0, "output_length": 1, "hash_ids": [], "more": 1}\n',
    ]

    assert list(read_calls(lines, MOONCAKE)) == [
        TraceCall(0.0, 600, 52, (46, 47)),
        TraceCall(1.5, 0, 1, ()),
    ]


@pytest.mark.parametrize(
    ("first_line", "expected"),
    [(HEADER, AZURE), (BYTE_ORDER_MARK + HEADER, AZURE), (b"  {}\n", MOONCAKE)],
    ids=["header", "header after a byte order mark", "object"],
)
def test_format_is_told_from_the_first_line_that_is_not_blank(
    first_line: bytes, expected: object
) -> None:
    assert detect_format([first_line]) is expected
    assert detect_format([b"\n", b"  \n", first_line.removeprefix(BYTE_ORDER_MARK)]) is expected


@pytest.mark.parametrize(
    "first_line",
    [b"a,b,c\n", b"\x00\xff\xfe", gzip.compress(HEADER), b"[1]"],
    ids=["other header", "binary", "still compressed", "other JSON"],
)
def test_unknown_format_is_refused_with_what_was_expected(first_line: bytes) -> None:
    with pytest.raises(BadLineError, match="line 1: expected the header TIMESTAMP,ContextTokens"):
        detect_format([first_line])


def test_file_without_content_is_refused() -> None:
    with pytest.raises(TraceError, match="empty"):
        detect_format([b"\n", b" \n"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"2023-11-16 18:15:46,374", "expected 3 columns such as"),
        (b"2023-11-16 18:15:46,374,44,1", "expected 3 columns such as"),
        (b"yesterday,374,44", "TIMESTAMP: expected a time such as"),
        (b"2023-11-16 18:15:46,-1,44", "ContextTokens: expected a whole number"),
        (b"2023-11-16 18:15:46,374,4.5", "GeneratedTokens: expected a whole number"),
        (b"2023-11-16 18:15:46,374,", "GeneratedTokens: expected a whole number"),
        (b"2023-11-16 18:15:46,3_0,1", "ContextTokens: expected a whole number"),
        (b"2023-11-16 18:15:46," + b"9" * 5000 + b",1", "ContextTokens: expected a whole number"),
        ("2023-11-16 18:15:46,٣,1".encode(), "ContextTokens: expected a whole number"),
    ],
    ids=range(9),
)
def test_bad_azure_line_is_named_with_its_number(line: bytes, message: str) -> None:
    with pytest.raises(BadLineError, match=message) as caught:
        list(read_calls([HEADER, b"2023-11-16 18:15:46,1,1\n", b"\n", line], AZURE))

    assert caught.value.line_number == 4
    assert str(caught.value).startswith("line 4: ")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"timestamp": 0', "expected an object with timestamp"),
        (b'{"timestamp": 0, "input_length": 1, "output_length": 1}', "hash_ids"),
        (b'{"timestamp": 0, "input_length": "1", "output_length": 1, "hash_ids": []}', "int"),
        (b'{"timestamp": 0, "input_length": -1, "output_length": 1, "hash_ids": []}', "negative"),
        (b'{"timestamp": 1e300, "input_length": 1, "output_length": 1, "hash_ids": []}', "millis"),
        (
            b'{"timestamp": 0, "input_length": 512, "output_length": 1, "hash_ids": [1, 2]}',
            "at most 1",
        ),
        (b'{"timestamp": \xff}', "expected an object with timestamp"),
    ],
    ids=range(7),
)
def test_bad_mooncake_line_is_named_with_its_number(line: bytes, message: str) -> None:
    with pytest.raises(BadLineError, match=message) as caught:
        list(read_calls([line], MOONCAKE))

    assert caught.value.line_number == 1


def test_bad_lines_are_handed_over_and_left_out_on_request() -> None:
    bad: list[BadLineError] = []
    lines = [HEADER, b"nothing\n", b"2023-11-16 18:15:46,1,2\n", b"2023-11-16,1\n"]

    calls = list(read_calls(lines, AZURE, on_bad_line=bad.append))

    assert calls == [TraceCall(0.0, 1, 2)]
    assert [line.line_number for line in bad] == [2, 4]


MOMENTS = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1))  # noqa: DTZ001
TOKENS = st.integers(0, 10**9)


@given(st.lists(st.tuples(MOMENTS, TOKENS, TOKENS), min_size=1))
def test_every_azure_row_comes_back_at_its_distance_from_the_first(
    rows: list[tuple[datetime, int, int]],
) -> None:
    lines = [
        f"{moment:%Y-%m-%d %H:%M:%S.%f}0,{given},{made}\n".encode() for moment, given, made in rows
    ]

    calls = list(read_calls([HEADER, *lines], AZURE))

    assert [(call.input_tokens, call.output_tokens) for call in calls] == [row[1:] for row in rows]
    start = rows[0][0].replace(tzinfo=UTC)
    for call, (moment, _, _) in zip(calls, rows, strict=True):
        distance = timedelta(seconds=call.offset_seconds) - (moment.replace(tzinfo=UTC) - start)
        assert abs(distance) <= timedelta(microseconds=2)


@given(st.binary(max_size=80).filter(lambda line: line.removeprefix(BYTE_ORDER_MARK).strip()))
def test_any_bytes_are_a_call_or_a_named_line(line: bytes) -> None:
    for trace_format, head in ((AZURE, [HEADER]), (MOONCAKE, [])):
        bad: list[BadLineError] = []

        calls = list(read_calls([*head, line], trace_format, on_bad_line=bad.append))

        assert len(calls) + len(bad) == 1


@given(st.lists(st.integers(0, 2**63 - 1), max_size=6), st.integers(0, 10**7))
def test_mooncake_blocks_keep_their_order(blocks: list[int], stamp: int) -> None:
    row = {
        "timestamp": stamp,
        "input_length": 512 * len(blocks),
        "output_length": 1,
        "hash_ids": blocks,
    }

    (call,) = read_calls([msgspec.json.encode(row)], MOONCAKE)

    assert call == TraceCall(0.0, 512 * len(blocks), 1, tuple(blocks))
