"""Flags on disk, for a start at which the service is away."""

import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import windsock
from tests.sdk.flag_service import PATIENCE_SECONDS, FlagService, flag_service, switch
from windsock.flags.backup import Backup
from windsock.flags.client import FeatureFlags
from windsock.flags.versions import Version, from_snapshot
from windsock.testing import Captured

pytestmark = pytest.mark.usefixtures("captured")
RULE = {
    "when": {"attribute": "plan", "operator": "equals", "value": "pro"},
    "serve": {"variant": "off"},
}
Follow = Callable[[str], FeatureFlags]


@pytest.fixture
def service() -> Iterator[FlagService]:
    with flag_service(switch("f", rules=[RULE]), switch("newer", power=1)) as service:
        service.revision = 7
        yield service


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "flags.backup"


@pytest.fixture
def follow(path: Path, captured: Captured) -> Iterator[Follow]:
    clients = []

    def make(url: str) -> FeatureFlags:
        client = FeatureFlags(windsock.get_metrics_collector())
        client.configure(windsock.Settings(endpoint=url, flags_backup_file=path))
        clients.append(client)
        return client

    yield make
    for client in clients:
        assert client.close(PATIENCE_SECONDS)


def nowhere() -> str:
    with flag_service() as gone:
        return gone.url


def test_a_process_begins_with_what_the_last_one_had(
    service: FlagService, follow: Follow, path: Path
) -> None:
    first = follow(service.url)
    assert first.ready(PATIENCE_SECONDS)
    assert first.close(PATIENCE_SECONDS)

    second = follow(nowhere())

    assert second.ready(PATIENCE_SECONDS)
    assert second.is_enabled("f", "u-1")
    assert not second.is_enabled("f", "u-1", {"plan": "pro"}, default=True)
    status = second.status()
    assert status.backup
    assert status.stale
    assert not status.connected
    assert (status.epoch, status.revision, status.age_seconds) == ("e1", 7, None)
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(path.parent) == [path.name]


def test_a_backup_in_use_is_told_with_its_age(
    service: FlagService, follow: Follow, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "windsock")
    written(path)
    os.utime(path, (0, time.time() - 3 * 3600 - 60))

    assert follow(nowhere()).ready(PATIENCE_SECONDS)

    assert f"1 flags from the backup {path}, written 3 h ago" in caplog.text
    assert "those of the backup stay" in caplog.text


def test_a_backup_is_gone_on_from(service: FlagService, follow: Follow) -> None:
    first = follow(service.url)
    assert first.ready(PATIENCE_SECONDS)
    assert first.close(PATIENCE_SECONDS)
    service.change(switch("added"))

    client = follow(service.url)
    added = threading.Event()
    client.subscribe(lambda notice: added.set() if notice.kind == "changed" else None)
    assert client.is_enabled("f", "u-1")
    assert added.wait(PATIENCE_SECONDS)

    assert client.is_enabled("added")
    assert not client.status().backup
    assert [stream.last_event_id for stream in service.streams] == [None, "e1-7"]


def test_changes_are_written_while_the_process_runs(
    service: FlagService, follow: Follow, path: Path
) -> None:
    client = follow(service.url)
    assert client.ready(PATIENCE_SECONDS)
    service.change(switch("added"))
    deadline = time.monotonic() + PATIENCE_SECONDS
    backup = Backup(path, "production")
    while (found := backup.read()) is None or found.revision != 8:
        assert time.monotonic() < deadline
        time.sleep(0.02)

    assert sorted(found.flags) == ["added", "f"]
    # A newer SDK may read what this one cannot.
    assert found.unreadable["flags", "newer"].document == switch("newer", power=1)


def written(path: Path) -> bytes:
    Backup(path, "production").write(
        from_snapshot({"epoch": "e", "revision": 1, "flags": [switch("f")]})
    )
    return path.read_bytes()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: b"",
        lambda text: text[:-1],
        lambda text: text.replace(b'"on": true', b'"on": truE'),
        lambda text: text.replace(b"true", b"null", 1),
        lambda text: text.split(b"\n", 1)[1],
        lambda text: b"[]\n[]",
        lambda text: b"[" * 100_000,
        lambda text: b"\xff" + text,
        lambda text: b"\x00" * 4096,
        lambda text: text.replace(b"_backup", b"_other"),
    ],
    ids=range(10),
)
def test_a_corrupt_backup_is_not_used(
    path: Path,
    follow: Follow,
    spoil: Callable[[bytes], bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    path.parent.mkdir()
    path.write_bytes(spoil(written(path)))

    client = follow(nowhere())

    assert client.details("f").error_code == "PROVIDER_NOT_READY"
    assert "is not used" in caplog.text


def test_a_backup_of_another_environment_is_not_used(path: Path) -> None:
    written(path)

    assert Backup(path, "staging").read() is None
    assert isinstance(Backup(path, "production").read(), Version)


@pytest.mark.parametrize("body", [b"[]", b"{}", b"null"])
def test_a_backup_of_something_else_is_not_used(path: Path, body: bytes) -> None:
    written(path)
    digest = hashlib.blake2b(body, digest_size=16).hexdigest()
    head = json.dumps({"windsock_flags_backup": 1, "blake2b": digest})
    path.write_bytes(head.encode() + b"\n" + body)

    assert Backup(path, "production").read() is None


def test_a_backup_that_says_nonsense_is_not_used(path: Path, follow: Follow) -> None:
    written(path)
    backup = Backup(path, "production")
    wrong = from_snapshot({"epoch": "e", "revision": 1, "flags": [switch("f", power=1)]})
    backup.write(wrong)

    found = backup.read()

    assert found is not None
    assert list(found.flags) == []


def test_what_a_killed_process_left_half_written_is_swept_up(path: Path) -> None:
    path.parent.mkdir()
    left = path.with_name(f".{path.name}.1.tmp")
    left.write_text("half")
    os.utime(left, (0, 0))
    fresh = path.with_name(f".{path.name}.2.tmp")
    fresh.write_text("half")

    written(path)

    assert not left.exists()
    assert fresh.exists()


def test_a_backup_that_cannot_be_written_is_a_warning(
    service: FlagService, follow: Follow, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.write_text("a file where the folder should be")
    client = follow(service.url)

    assert client.ready(PATIENCE_SECONDS)
    assert client.close(PATIENCE_SECONDS)
    assert client.is_enabled("f", "u-1")
    assert "cannot be written" in caplog.text
