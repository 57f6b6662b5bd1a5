import gzip
import io
import os
import threading
from pathlib import Path

import pytest

from loadgen.source import open_trace
from loadgen.traces import TraceError

CONTENT = b"one\ntwo\nthree"


@pytest.mark.parametrize("stored", [CONTENT, gzip.compress(CONTENT)], ids=["plain", "gzip"])
def test_lines_can_be_read_twice(tmp_path: Path, stored: bytes) -> None:
    path = tmp_path / "trace"
    path.write_bytes(stored)

    with open_trace(str(path)) as source:
        first, second = list(source.lines()), list(source.lines())

    assert first == second == [b"one\n", b"two\n", b"three"]


def test_standard_input_can_be_read_twice_and_may_be_gzipped() -> None:
    with open_trace("-", io.BytesIO(gzip.compress(CONTENT))) as source:
        assert list(source.lines()) == list(source.lines()) == [b"one\n", b"two\n", b"three"]


def test_named_pipe_can_be_read_twice(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=[CONTENT])
    writer.start()

    with open_trace(str(path)) as source:
        writer.join()
        assert list(source.lines()) == list(source.lines()) == [b"one\n", b"two\n", b"three"]


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (gzip.compress(os.urandom(4096))[:-2000], "gzip stream is damaged"),
        (b"\x1f\x8b\x08\x00" + b"\xff" * 40, "gzip stream is damaged"),
        (b"\x28\xb5\x2f\xfd....", "zstd -dc FILE"),
        (b"x" * (1 << 20), "line 1: longer than"),
    ],
    ids=["cut off", "corrupt", "zstd", "no line ends"],
)
def test_unreadable_file_is_refused_with_the_reason(
    tmp_path: Path, stored: bytes, message: str
) -> None:
    path = tmp_path / "trace"
    path.write_bytes(stored)

    with open_trace(str(path)) as source, pytest.raises(TraceError, match=message):
        list(source.lines())
