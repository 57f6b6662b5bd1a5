import json
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import windsock
from windsock.flags.source import CHECK_SECONDS, FileSource, NoFlags
from windsock.testing import capture


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def written(path: Path, *keys: str, age_seconds: float = 60) -> None:
    """Put flags into ``path`` as a careful editor does, with the time of change of long ago."""
    flags = [{"key": key, "type": "boolean", "variants": {"on": True}} for key in keys]
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps({"flags": flags}))
    changed = beside.stat().st_mtime - age_seconds
    os.utime(beside, (changed, changed))
    beside.rename(path)


def keys_of(source: FileSource) -> list[str]:
    flags = source.current()
    assert not isinstance(flags, NoFlags)
    return sorted(flags)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flags.json"


@pytest.fixture
def later() -> Clock:
    return Clock()


def test_a_changed_file_is_in_force_within_a_second(path: Path, later: Clock) -> None:
    written(path, "one")
    source = FileSource(path, clock=later)
    written(path, "one", "two", age_seconds=30)

    later.now += CHECK_SECONDS / 2
    before = keys_of(source)
    later.now += CHECK_SECONDS / 2

    assert before == ["one"]
    assert keys_of(source) == ["one", "two"]


def test_a_file_that_did_not_change_is_the_same_version(path: Path, later: Clock) -> None:
    written(path, "one")
    source = FileSource(path, clock=later)
    first = source.current()

    later.now += CHECK_SECONDS
    same = source.current()
    written(path, "one", age_seconds=10)
    later.now += CHECK_SECONDS

    assert same is first
    assert source.current() is first


def test_a_change_within_one_tick_of_the_clock_is_seen(path: Path, later: Clock) -> None:
    written(path, "one", age_seconds=0)
    source = FileSource(path, clock=later)
    status = path.stat()
    path.write_text(path.read_text().replace("one", "two"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    later.now += CHECK_SECONDS

    assert keys_of(source) == ["two"]


def test_another_file_of_the_same_time_and_size_is_seen(path: Path, later: Clock) -> None:
    written(path, "one")
    changed = path.stat().st_mtime_ns
    source = FileSource(path, clock=later)
    written(path, "two")
    os.utime(path, ns=(changed, changed))

    later.now += CHECK_SECONDS

    assert keys_of(source) == ["two"]


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda path: path.write_text('{"flags": [{}]}'), "flags[0].key: is missing"),
        (lambda path: path.write_text('{"flags": ['), "is no JSON"),
        (lambda path: path.unlink(), "cannot be read"),
    ],
    ids=["wrong", "half written", "gone"],
)
def test_a_broken_file_keeps_the_last_good_flags_and_says_so_once(
    path: Path,
    later: Clock,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Path], object],
    complaint: str,
) -> None:
    written(path, "one")
    source = FileSource(path, clock=later)

    spoil(path)
    for _ in range(5):
        later.now += CHECK_SECONDS
        assert keys_of(source) == ["one"]

    [record] = caplog.records
    assert (record.name, record.levelno) == ("windsock", logging.WARNING)
    assert complaint in record.getMessage()
    assert "the former flags stay" in record.getMessage()
    written(path, "two", age_seconds=10)
    later.now += CHECK_SECONDS
    assert keys_of(source) == ["two"]
    spoil(path)
    later.now += CHECK_SECONDS
    assert keys_of(source) == ["two"]
    assert len(caplog.records) == 2


def test_a_file_that_comes_later_is_read_then(
    path: Path, later: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    source = FileSource(path, clock=later)
    missing = source.current()
    path.write_text("{}")
    later.now += CHECK_SECONDS
    broken = source.current()
    written(path, "one")
    later.now += CHECK_SECONDS

    assert isinstance(missing, NoFlags)
    assert missing.code == "PROVIDER_NOT_READY"
    assert isinstance(broken, NoFlags)
    assert broken.code == "PARSE_ERROR"
    assert "flags: is missing" in broken.message
    assert keys_of(source) == ["one"]


class ToldPath(type(Path())):  # type: ignore[misc]  # Python 3.11 has no better name for it.
    """Tells when its file has been read and closed."""

    was_read: threading.Event

    def open(self, *args: Any, **kwargs: Any) -> Any:
        file = super().open(*args, **kwargs)
        close = file.close

        def told() -> None:
            close()
            self.was_read.set()

        file.close = told
        return file


def test_a_thread_that_reads_slowly_does_not_bring_old_flags_back(path: Path, later: Clock) -> None:
    written(path, "one")
    told = ToldPath(path)
    told.was_read = threading.Event()
    source = FileSource(told, clock=later)
    written(path, *(f"slow-{number}" for number in range(10_000)), age_seconds=30)
    told.was_read.clear()
    later.now += CHECK_SECONDS
    slow = threading.Thread(target=source.current)
    slow.start()
    assert told.was_read.wait(10)

    written(path, "new", age_seconds=20)
    later.now += CHECK_SECONDS
    source.current()
    slow.join(10)
    later.now += CHECK_SECONDS

    assert keys_of(source) == ["new"]


def test_configure_reads_the_flags_file(path: Path) -> None:
    written(path, "one")
    client = windsock.get_feature_flags()
    former = client.install(None)
    try:
        client.configure(windsock.Settings().changed({"flags_file": str(path)}))

        with capture() as captured:
            assert client.explain("one").reason == "DEFAULT"
            assert captured.events == []
    finally:
        client.install(former)


def test_a_path_that_is_none_keeps_the_application_running(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = windsock.Settings().changed({"flags_file": "nul\x00"})

    assert settings.flags_file is None
    assert "WINDSOCK_FLAGS_FILE" in caplog.text
