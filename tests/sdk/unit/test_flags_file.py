import json
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import windsock
from windsock.flags.client import FeatureFlags
from windsock.flags.file import FileFeed
from windsock.flags.versions import NoFlags, Version
from windsock.flags.watching import Pace, WatchedSource
from windsock.testing import capture


def written(path: Path, *keys: str, age_seconds: float = 60) -> None:
    """Put flags into ``path`` as a careful editor does, with the time of change of long ago."""
    flags = [{"key": key, "type": "boolean", "variants": {"on": True}} for key in keys]
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps({"flags": flags}))
    changed = beside.stat().st_mtime - age_seconds
    os.utime(beside, (changed, changed))
    beside.rename(path)


def keys_of(found: Version | NoFlags) -> list[str]:
    assert isinstance(found, Version)
    return sorted(found.flags)


class Held:
    """What a feed tells, without a thread; it is told to stop after one look."""

    def __init__(self) -> None:
        self.version: Version | NoFlags = NoFlags("", "")
        self.pace = Pace()
        self.stopping = threading.Event()
        self.stopping.set()
        self.troubles: list[str] = []

    def put(self, version: Version) -> None:
        self.version = version

    def heard(self) -> None:
        return

    def trouble(self, problem: NoFlags) -> None:
        self.troubles.append(problem.message)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flags.json"


def test_a_changed_file_is_seen(path: Path) -> None:
    written(path, "one")
    feed = FileFeed(path)
    before, fresh = feed.first()
    written(path, "one", "two", age_seconds=30)

    after = feed.look()

    assert fresh
    assert keys_of(before) == ["one"]
    assert keys_of(after) == ["one", "two"]
    assert isinstance(before, Version)
    assert isinstance(after, Version)
    assert after.flags["one"] is before.flags["one"]


def test_a_file_that_did_not_change_is_the_same_version(path: Path) -> None:
    written(path, "one")
    feed = FileFeed(path)
    first = feed.look()

    same = feed.look()
    written(path, "one", age_seconds=10)

    assert same is first
    assert feed.look() is first


def test_a_change_within_one_tick_of_the_clock_is_seen(path: Path) -> None:
    written(path, "one", age_seconds=0)
    feed = FileFeed(path)
    feed.look()
    status = path.stat()
    path.write_text(path.read_text().replace("one", "two"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert keys_of(feed.look()) == ["two"]


def test_another_file_of_the_same_time_and_size_is_seen(path: Path) -> None:
    written(path, "one")
    changed = path.stat().st_mtime_ns
    feed = FileFeed(path)
    feed.look()
    written(path, "two")
    os.utime(path, ns=(changed, changed))

    assert keys_of(feed.look()) == ["two"]


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
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Path], object],
    complaint: str,
) -> None:
    written(path, "one")
    feed, held = FileFeed(path), Held()
    source = WatchedSource(feed)
    former = source.version

    spoil(path)
    for _ in range(5):
        feed.listen(held)
        source.trouble(NoFlags("", held.troubles[-1]))

    assert source.version is former
    [record] = caplog.records
    assert (record.name, record.levelno) == ("windsock", logging.WARNING)
    assert complaint in record.getMessage()
    assert "the former flags stay" in record.getMessage()
    assert complaint in source.status().problem
    assert not source.status().connected
    written(path, "two", age_seconds=10)
    assert keys_of(feed.look()) == ["two"]


def test_a_file_that_comes_later_is_read_then(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    feed = FileFeed(path)
    missing, _ = feed.first()
    path.write_text("{}")
    broken = feed.look()
    written(path, "one")

    assert isinstance(missing, NoFlags)
    assert missing.code == "PROVIDER_NOT_READY"
    assert isinstance(broken, NoFlags)
    assert broken.code == "PARSE_ERROR"
    assert "flags: is missing" in broken.message
    assert keys_of(feed.look()) == ["one"]


def test_a_change_is_in_force_without_being_asked_for(path: Path) -> None:
    written(path, "one")
    client = FeatureFlags(windsock.get_metrics_collector())
    client.configure(windsock.Settings(flags_file=path))
    changed = threading.Event()
    client.subscribe(lambda notice: changed.set() if notice.kind == "changed" else None)
    try:
        assert client.details("two").error_code == "FLAG_NOT_FOUND"
        written(path, "two", age_seconds=30)

        assert changed.wait(20)
        assert client.details("two").error_code is None
        assert client.status().source == "file"
    finally:
        assert client.close(20)


def test_configure_reads_the_flags_file(path: Path) -> None:
    written(path, "one")
    client = windsock.get_feature_flags()
    former = client.install(None)
    try:
        client.configure(windsock.Settings().changed({"flags_file": str(path)}))

        with capture() as captured:
            assert client.details("one").reason == "DEFAULT"
            assert captured.events == []
    finally:
        client.close(20)
        client.install(former)


def test_a_path_that_is_none_keeps_the_application_running(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = windsock.Settings().changed({"flags_file": "nul\x00"})

    assert settings.flags_file is None
    assert "WINDSOCK_FLAGS_FILE" in caplog.text
