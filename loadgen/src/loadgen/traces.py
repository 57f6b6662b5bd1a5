"""Parsers of published LLM traces: bytes in, calls out, no file and no clock."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

BLOCK_TOKENS = 512
"""Tokens per entry of Mooncake's ``hash_ids``; the last block of a prompt may be shorter."""

_AZURE_HEADER = b"TIMESTAMP,ContextTokens,GeneratedTokens"
_AZURE_EXAMPLE = "2023-11-16 18:15:46.6805900,374,44"
_UTF8_BOM = b"\xef\xbb\xbf"
_SHOWN_CHARACTERS = 60
_MAX_COUNT_DIGITS = 12
# Some 300 years: keeps every later sum of times inside what datetime can hold.
_MAX_TIMESTAMP_MS = 1e13


class TraceError(Exception):
    """The file cannot be replayed; the text says which line and what was expected."""


class BadLineError(TraceError):
    def __init__(self, line_number: int, detail: str) -> None:
        super().__init__(f"line {line_number}: {detail}")
        self.line_number = line_number


@dataclass(frozen=True, slots=True)
class TraceCall:
    """One LLM call of a trace.

    ``offset_seconds`` counts from the trace's first call and is negative where a file is
    not in order. ``prompt_blocks`` are the ids of the prompt's 512-token blocks, or None
    where the trace says nothing about the prompt's content.
    """

    offset_seconds: float
    input_tokens: int
    output_tokens: int
    prompt_blocks: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class TraceFormat:
    """``parse`` gives a line's time in seconds (any origin) and its call at offset 0."""

    name: str
    title: str
    has_header: bool
    parse: Callable[[bytes], tuple[float, TraceCall]]


class _MooncakeRow(msgspec.Struct, frozen=True):
    timestamp: float
    input_length: int
    output_length: int
    hash_ids: tuple[int, ...]


_mooncake_row = msgspec.json.Decoder(_MooncakeRow)


def _parse_azure(line: bytes) -> tuple[float, TraceCall]:
    fields = line.decode("ascii", "replace").split(",")
    if len(fields) != 3:
        raise ValueError(f"expected 3 columns such as {_AZURE_EXAMPLE}, got {_shown(line)}")
    stamp, context, generated = fields
    return _azure_seconds(stamp), TraceCall(
        offset_seconds=0.0,
        input_tokens=_count("ContextTokens", context),
        output_tokens=_count("GeneratedTokens", generated),
    )


def _azure_seconds(stamp: str) -> float:
    """Read a time of 0 to 7 decimals; the seventh (100 ns) is below what the suite keeps."""
    try:
        moment = datetime.fromisoformat(stamp.strip())
    except ValueError:
        raise ValueError(
            f"TIMESTAMP: expected a time such as 2023-11-16 18:15:46.6805900, got {stamp!r}"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _count(column: str, text: str) -> int:
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_COUNT_DIGITS):
        raise ValueError(f"{column}: expected a whole number of tokens, got {text!r}")
    return int(digits)


def _parse_mooncake(line: bytes) -> tuple[float, TraceCall]:
    try:
        row = _mooncake_row.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            "expected an object with timestamp (ms), input_length, output_length and hash_ids:"
            f" {error}, in {_shown(line)}"
        ) from None
    _check_mooncake(row)
    return row.timestamp / 1000, TraceCall(
        offset_seconds=0.0,
        input_tokens=row.input_length,
        output_tokens=row.output_length,
        prompt_blocks=row.hash_ids,
    )


def _check_mooncake(row: _MooncakeRow) -> None:
    if row.input_length < 0 or row.output_length < 0:
        raise ValueError("input_length and output_length must not be negative")
    if abs(row.timestamp) > _MAX_TIMESTAMP_MS:
        raise ValueError("timestamp: expected milliseconds since the trace's start")
    # Other traces use these field names with seconds and smaller blocks: refused, not misread.
    blocks = -(-row.input_length // BLOCK_TOKENS)
    if len(row.hash_ids) > blocks:
        raise ValueError(
            f"hash_ids: expected at most {blocks} ids, one per {BLOCK_TOKENS} of the"
            f" {row.input_length} input tokens, got {len(row.hash_ids)}"
        )


def _shown(line: bytes) -> str:
    text = line.decode("utf-8", "replace")
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")


AZURE = TraceFormat("azure", "Azure LLM inference trace", has_header=True, parse=_parse_azure)
MOONCAKE = TraceFormat("mooncake", "Mooncake trace", has_header=False, parse=_parse_mooncake)


def detect_format(lines: Iterable[bytes]) -> TraceFormat:
    """Tell the format from the first line that is not blank."""
    for number, line in _content(lines):
        if line == _AZURE_HEADER:
            return AZURE
        if line.startswith(b"{"):
            return MOONCAKE
        raise BadLineError(
            number,
            f"expected the header {_AZURE_HEADER.decode()} (Azure, CSV) or an object with"
            f" timestamp, input_length, output_length, hash_ids (Mooncake, JSON lines),"
            f" got {_shown(line)}",
        )
    raise TraceError("the file is empty")


def read_calls(
    lines: Iterable[bytes],
    trace_format: TraceFormat,
    *,
    on_bad_line: Callable[[BadLineError], None] | None = None,
) -> Iterator[TraceCall]:
    """Yield the calls in file order, one line in memory at a time.

    A line that does not parse raises ``BadLineError``, or is handed to ``on_bad_line`` and
    left out where that is given. Blank lines are no calls.
    """
    content = _content(lines)
    if trace_format.has_header:
        next(content, None)
    start: float | None = None
    for number, line in content:
        try:
            seconds, call = trace_format.parse(line)
        except ValueError as error:
            bad = BadLineError(number, str(error))
            if on_bad_line is None:
                raise bad from None
            on_bad_line(bad)
            continue
        if start is None:
            start = seconds
        yield TraceCall(seconds - start, call.input_tokens, call.output_tokens, call.prompt_blocks)


def _content(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    for number, raw in enumerate(lines, start=1):
        line = (raw.removeprefix(_UTF8_BOM) if number == 1 else raw).strip()
        if line:
            yield number, line
