"""A trace's bytes, readable twice: once to check the whole, once to send it."""

import gzip
import io
import shutil
import sys
import tempfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from loadgen.traces import TraceError

STANDARD_INPUT = "-"

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_MAX_LINE_BYTES = 1 << 20


class TraceSource:
    """Lines of a seekable file, which may be gzipped whatever its name says."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw

    def lines(self) -> Iterator[bytes]:
        """Yield the lines from the beginning; a second call starts again."""
        try:
            yield from _bounded_lines(self._opened())
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise TraceError(f"the gzip stream is damaged: {error}") from None

    def _opened(self) -> BinaryIO:
        self._raw.seek(0)
        magic = self._raw.read(4)
        self._raw.seek(0)
        if magic == _ZSTD_MAGIC:
            raise TraceError("zstd is not read here: zstd -dc FILE | ./task replay -- -")
        if magic.startswith(_GZIP_MAGIC):
            return io.BufferedReader(gzip.GzipFile(fileobj=self._raw))
        return self._raw


def _bounded_lines(stream: BinaryIO) -> Iterator[bytes]:
    number = 0
    while line := stream.readline(_MAX_LINE_BYTES):
        number += 1
        if len(line) == _MAX_LINE_BYTES:
            raise TraceError(f"line {number}: longer than {_MAX_LINE_BYTES} bytes, not a trace")
        yield line


@contextmanager
def open_trace(path: str, stdin: BinaryIO | None = None) -> Generator[TraceSource]:
    """Open ``path`` (``-`` is standard input); what cannot be read twice is copied to disk."""
    if path == STANDARD_INPUT:
        with _spooled(stdin or sys.stdin.buffer) as copy:
            yield TraceSource(copy)
        return
    with Path(path).open("rb") as raw:
        if raw.seekable():
            yield TraceSource(raw)
            return
        with _spooled(raw) as copy:
            yield TraceSource(copy)


@contextmanager
def _spooled(stream: BinaryIO) -> Generator[BinaryIO]:
    with tempfile.TemporaryFile(prefix="windsock-replay-") as copy:
        shutil.copyfileobj(stream, copy)
        yield copy
