"""Flags of the service, over connections that go wrong in every way."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import windsock
from tests.sdk.flag_service import (
    PATIENCE_SECONDS,
    Document,
    FlagService,
    GoneError,
    Script,
    Stream,
    flag_service,
    switch,
)
from windsock.endpoint import Endpoint
from windsock.flags.client import FeatureFlags
from windsock.flags.source import Notice
from windsock.flags.stream import StreamFeed
from windsock.flags.versions import Version
from windsock.flags.watching import Pace, WatchedSource
from windsock.testing import Captured

# Silence is part of few tests only; in others it would be that of a machine with much to do.
CALM = Pace(silence=15.0, steady=60.0, longest_wait=0.02)
HASTY = Pace(silence=0.6, steady=60.0, longest_wait=0.02)
Follow = Callable[..., FeatureFlags]


@pytest.fixture
def service() -> Iterator[FlagService]:
    with flag_service(switch("f"), switch("other")) as service:
        yield service


@pytest.fixture
def follow(captured: Captured) -> Iterator[Follow]:
    """Make clients of a service, closed at the end; none leaves a thread behind."""
    before = set(threading.enumerate())
    clients = []

    def make(
        url: str,
        *,
        pace: Pace = CALM,
        backup: Callable[[], Version | None] = lambda: None,
        heard: Callable[[Notice], None] = lambda _: None,
    ) -> FeatureFlags:
        client = FeatureFlags(windsock.get_metrics_collector())
        feed = StreamFeed(Endpoint(url), "production", backup=backup, timeout_seconds=5)
        client.install(WatchedSource(feed, environment="production", pace=pace))
        client.subscribe(heard)
        clients.append(client)
        return client

    yield make
    assert all(client.close(PATIENCE_SECONDS) for client in clients)
    left = set(threading.enumerate()) - before
    assert not [thread.name for thread in left if thread.name.startswith("windsock")]


class Waiter:
    """Waits for what a client tells."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self._moved = threading.Condition()

    def __call__(self, notice: Notice) -> None:
        with self._moved:
            self.notices.append(notice)
            self._moved.notify_all()

    def until(self, enough: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        with self._moved:
            # Not all is told that changes.
            while not enough():
                assert time.monotonic() < end
                self._moved.wait(0.01)


def in_force(client: FeatureFlags) -> int | None:
    return client.status().revision


def test_a_snapshot_and_then_changes_are_in_force(service: FlagService, follow: Follow) -> None:
    waiter = Waiter()
    client = follow(service.url, heard=waiter)
    assert client.ready(PATIENCE_SECONDS)
    first = client.is_enabled("f")

    revision = service.change(switch("f", on=False), switch("new"), removed=("other",))
    waiter.until(lambda: in_force(client) == revision)

    assert (first, client.is_enabled("f", default=True)) == (True, False)
    assert client.is_enabled("new")
    assert client.details("other").error_code == "FLAG_NOT_FOUND"
    status = client.status()
    assert (status.source, status.epoch, status.flags) == ("service", "e1", 2)
    assert status.connected
    assert not status.stale
    assert not status.backup
    assert [notice.kind for notice in waiter.notices[-3:]] == ["changed", "ready", "changed"]
    assert service.streams[0].environment == "production"


def test_what_says_nothing_of_the_environment_moves_the_revision(
    service: FlagService, follow: Follow
) -> None:
    waiter = Waiter()
    client = follow(service.url, heard=waiter)
    assert client.ready(PATIENCE_SECONDS)
    former = client.version
    service.change()

    waiter.until(lambda: in_force(client) == 2)

    assert isinstance(former, Version)
    assert isinstance(client.version, Version)
    assert client.version.flags is former.flags


def ended_after(count: int, service: FlagService) -> Script:
    """Return what sends ``count`` changes and breaks off."""

    def script(stream: Stream) -> None:
        stream.begin()
        service.catch_up(stream)
        for _ in range(count):
            assert stream.woken.wait(PATIENCE_SECONDS)
            stream.event(*stream.changes.popleft())

    return script


def test_a_new_connection_goes_on_where_the_last_one_was(
    service: FlagService, follow: Follow
) -> None:
    service.scripts.append(ended_after(1, service))
    waiter = Waiter()
    client = follow(service.url, heard=waiter)
    assert client.ready(PATIENCE_SECONDS)
    service.wait_for_streams(2)
    revision = service.change(switch("f", on=False))
    waiter.until(lambda: in_force(client) == revision)

    assert [stream.last_event_id for stream in service.streams] == [None, "e1-1"]
    assert not client.is_enabled("f", default=True)


def test_a_server_that_comes_back_replays_what_was_missed(
    service: FlagService, follow: Follow
) -> None:
    waiter = Waiter()
    client = follow(service.url, heard=waiter)
    assert client.ready(PATIENCE_SECONDS)
    service.stop()
    waiter.until(lambda: not client.status().connected)
    service.change(switch("f", on=False))
    service.change(switch("other", on=False))
    with flag_service(port=service.port) as again:
        again.flags, again.history, again.revision = service.flags, service.history, 3
        waiter.until(lambda: in_force(client) == 3)

        assert [stream.last_event_id for stream in again.streams][-1] == "e1-1"
        assert not client.is_enabled("f", default=True)
        assert not client.is_enabled("other", default=True)
        client.close(PATIENCE_SECONDS)


def gap(service: FlagService) -> Script:
    def script(stream: Stream) -> None:
        service.change(switch("other", on=False), told=False)
        stream.begin()
        stream.event("snapshot", service.snapshot() | {"revision": 1, "flags": [switch("f")]})
        stream.event("change", service.history[-1] | {"previous": 7, "revision": 8})
        service.hang(stream)

    return script


def ahead(service: FlagService) -> Script:
    def script(stream: Stream) -> None:
        stream.begin()
        stream.event("snapshot", service.snapshot())
        service.change(switch("other", on=False), told=False)
        service.heartbeat(stream)
        service.hang(stream)

    return script


def of_another_epoch(service: FlagService) -> Script:
    def script(stream: Stream) -> None:
        stream.begin()
        stream.event("snapshot", service.snapshot() | {"epoch": "e0", "revision": 99})
        service.change(switch("other", on=False), told=False)
        stream.event("change", service.history[-1])
        service.hang(stream)

    return script


@pytest.mark.parametrize("script", [gap, ahead, of_another_epoch])
def test_whoever_misses_something_asks_for_everything(
    service: FlagService, follow: Follow, script: Callable[[FlagService], Script]
) -> None:
    service.scripts.append(script(service))
    waiter = Waiter()
    client = follow(service.url, heard=waiter)
    client.is_enabled("f")

    waiter.until(lambda: client.status().epoch == "e1" and in_force(client) == 2)

    assert [stream.last_event_id for stream in service.streams[:2]] == [None, None]
    assert not client.is_enabled("other", default=True)


def test_dead_silence_ends_a_connection(service: FlagService, follow: Follow) -> None:
    def silent(stream: Stream) -> None:
        stream.begin()
        stream.event("snapshot", service.snapshot())
        service.hang(stream)

    service.scripts.append(silent)
    waiter = Waiter()
    client = follow(service.url, pace=HASTY, heard=waiter)
    assert client.ready(PATIENCE_SECONDS)
    service.wait_for_streams(2)
    revision = service.change(switch("f", on=False))
    waiter.until(lambda: in_force(client) == revision)

    assert service.streams[1].last_event_id == "e1-1"


def sends(piece: bytes, **answer: Any) -> Script:
    def script(stream: Stream) -> None:
        stream.begin(**answer)
        stream.write(piece)

    return script


def breaks_chunks(stream: Stream) -> None:
    stream.begin()
    stream.chunked = False
    stream.write(b"not a length\r\nevent: snapshot\n")


def half(service: FlagService) -> Script:
    def script(stream: Stream) -> None:
        stream.begin()
        whole = json.dumps(service.snapshot() | {"revision": 9, "flags": []}).encode()
        stream.write(b"event: snapshot\ndata: " + whole[:-20])

    return script


def change(document: object) -> bytes:
    return b"event: change\ndata: " + json.dumps(document).encode() + b"\n\n"


GARBAGE = {
    "no JSON": sends(b"event: snapshot\ndata: {\n\n"),
    "not an object": sends(b"event: change\ndata: [1]\n\n"),
    "no revision": sends(change({"epoch": "e1"})),
    "no previous": sends(change({"epoch": "e1", "revision": 2})),
    "flags that are none": sends(
        change({"epoch": "e1", "revision": 2, "previous": 1, "flags": [7]})
    ),
    "keys that are none": sends(
        change({"epoch": "e1", "revision": 2, "previous": 1, "removed": [7]})
    ),
    "other environment": sends(
        b'event: snapshot\ndata: {"epoch":"x","revision":9,"environment":"moon"}\n\n'
    ),
    "a heartbeat of nothing": sends(b"event: heartbeat\ndata: {}\n\n"),
    "brackets without end": sends(b"event: change\ndata: " + b"[" * 200_000 + b"\n\n"),
    "no UTF-8": sends(b"event: \xff\ndata: \xff\n\nevent: change\ndata: \xff\n\n"),
    "zeros": sends(b"\x00" * 100_000),
    "a page": sends(b"<html>", kind="text/html"),
    "not found": sends(b'{"detail": "no such environment"}', status=404),
    "failed": sends(b"", status=500),
    "later": sends(b"", status=503, Retry_After="0"),
    "broken chunks": breaks_chunks,
}


@pytest.mark.parametrize("script", GARBAGE.values(), ids=GARBAGE)
def test_garbage_leaves_the_flags_as_they_are(
    service: FlagService, follow: Follow, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    service.scripts.extend([ended_after(1, service), script, script])
    waiter = Waiter()
    client = follow(service.url, heard=waiter)
    assert client.ready(PATIENCE_SECONDS)
    service.wait_for_streams(4)
    assert client.is_enabled("f")
    revision = service.change(switch("f", on=False))
    waiter.until(lambda: in_force(client) == revision)

    assert not client.is_enabled("f", default=True)
    assert "Traceback" not in caplog.text
    assert "the former flags stay" in caplog.text


def test_half_an_event_is_none(service: FlagService, follow: Follow) -> None:
    service.scripts.extend([ended_after(1, service), half(service)])
    waiter = Waiter()
    client = follow(service.url, heard=waiter)
    assert client.ready(PATIENCE_SECONDS)
    service.wait_for_streams(3)
    revision = service.change(switch("f", on=False))
    waiter.until(lambda: in_force(client) == revision)

    assert all(notice.kind != "error" for notice in waiter.notices)
    assert client.status().flags == 2


def test_an_event_of_a_gigabyte_is_not_taken_in(service: FlagService, follow: Follow) -> None:
    sent = 0

    def endless(stream: Stream) -> None:
        nonlocal sent
        stream.begin()
        stream.write(b"event: change\ndata: ")
        with suppress(GoneError):
            while sent < 1 << 30:
                stream.write(bytes(1 << 20))
                sent += 1 << 20

    service.scripts.extend([ended_after(1, service), endless])
    waiter = Waiter()
    client = follow(service.url, heard=waiter)
    assert client.ready(PATIENCE_SECONDS)
    service.wait_for_streams(3)
    revision = service.change()
    waiter.until(lambda: in_force(client) == revision)

    assert sent < 200 << 20


def test_a_flag_that_cannot_be_read_leaves_the_others_alone(
    service: FlagService, follow: Follow
) -> None:
    waiter = Waiter()
    service.flags["newer"] = switch("newer", power="unknown")
    client = follow(service.url, heard=waiter)
    assert client.ready(PATIENCE_SECONDS)
    unread = client.details("newer")
    service.change(switch("newer"), switch("f", power="unknown"))
    waiter.until(lambda: in_force(client) == 2)

    assert unread.error_code == "PARSE_ERROR"
    assert "power" in str(unread.error_message)
    assert client.is_enabled("newer")
    assert client.details("f").error_code == "PARSE_ERROR"
    assert client.is_enabled("other")


def older(service: FlagService, *, heartbeats: int) -> Script:
    """Return what a process does that has not heard of the last revision."""

    def script(stream: Stream) -> None:
        stream.begin()
        stream.event("snapshot", service.snapshot() | {"revision": 1, "flags": []})
        for _ in range(heartbeats):
            stream.event("heartbeat", {"epoch": service.epoch, "revision": 1})
            stream.woken.wait(0.05)
            stream.woken.clear()

    return script


def test_flags_do_not_go_back_for_a_process_that_lags(service: FlagService, follow: Follow) -> None:
    service.change(switch("f"))
    service.scripts.extend([ended_after(1, service), older(service, heartbeats=2)])
    waiter = Waiter()
    client = follow(service.url, heard=waiter)
    assert client.ready(PATIENCE_SECONDS)
    service.wait_for_streams(3)
    revision = service.change(switch("new"))
    waiter.until(lambda: in_force(client) == revision)

    revisions = [
        notice.before.revision for notice in waiter.notices if isinstance(notice.before, Version)
    ]
    assert revisions == [2]


def test_flags_do_go_back_with_a_service_that_was_restored(
    service: FlagService, follow: Follow
) -> None:
    service.change(switch("f"))
    service.scripts.append(ended_after(1, service))
    service.usual = older(service, heartbeats=1_000)
    waiter = Waiter()
    client = follow(service.url, pace=HASTY, heard=waiter)
    assert client.ready(PATIENCE_SECONDS)

    waiter.until(lambda: in_force(client) == 1)

    assert client.status().flags == 0


def test_nobody_waits_for_a_service_that_is_away(
    follow: Follow, caplog: pytest.LogCaptureFixture
) -> None:
    with flag_service() as gone:
        url, port = gone.url, gone.port
    waiter = Waiter()
    client = follow(url, heard=waiter)

    assert client.is_enabled("f", default=True)
    assert client.details("f").error_code == "PROVIDER_NOT_READY"
    assert not client.ready(0.05)
    waiter.until(lambda: "error" in [notice.kind for notice in waiter.notices])
    assert "ConnectionRefusedError" in client.status().problem
    with flag_service(switch("f"), port=port):
        waiter.until(lambda: client.status().connected)
        assert client.is_enabled("f")
        client.close(PATIENCE_SECONDS)
    [warning] = [record for record in caplog.records if "no flags yet" in record.getMessage()]
    assert "flags: " in warning.getMessage()


def test_flags_that_nobody_confirms_grow_stale(service: FlagService, follow: Follow) -> None:
    waiter = Waiter()
    client = follow(service.url, pace=HASTY, heard=waiter)
    assert client.ready(PATIENCE_SECONDS)
    service.stop()
    waiter.until(lambda: "stale" in [notice.kind for notice in waiter.notices])

    assert client.status().stale
    assert client.is_enabled("f")


def test_after_close_the_flags_stay_and_nothing_follows_them(
    service: FlagService, follow: Follow
) -> None:
    client = follow(service.url)
    assert client.ready(PATIENCE_SECONDS)

    assert client.close(PATIENCE_SECONDS)
    names = [thread.name for thread in threading.enumerate()]
    enabled = client.is_enabled("f"), client.is_enabled("gone", default=True)

    assert enabled == (True, True)
    assert "windsock-flags" not in names
    assert not client.status().connected
    assert client.ready(0)
    assert len(service.streams) == 1


def test_a_key_travels_with_the_request(service: FlagService, captured: Captured) -> None:
    client = FeatureFlags(windsock.get_metrics_collector())
    settings: Document = {"endpoint": service.url, "api_key": "k", "environment": "a b&c"}
    client.configure(windsock.Settings().changed(settings))
    client.is_enabled("f")
    service.wait_for_streams(1)

    assert client.close(PATIENCE_SECONDS)
    assert service.streams[0].headers["Authorization"] == "Bearer k"
    assert service.streams[0].environment == "a b&c"


def test_a_file_holds_until_the_service_answers(
    service: FlagService, captured: Captured, tmp_path: Path
) -> None:
    path = tmp_path / "flags.json"
    path.write_text(json.dumps({"flags": [switch("f", on=False), switch("mine")]}))
    client = FeatureFlags(windsock.get_metrics_collector())
    client.configure(
        windsock.Settings(endpoint=service.url, flags_source="service", flags_file=path)
    )

    assert isinstance(client.version, Version)
    assert sorted(client.version.flags) == ["f", "mine"]
    assert client.ready(PATIENCE_SECONDS)
    assert client.is_enabled("f")
    assert client.details("mine").error_code == "FLAG_NOT_FOUND"
    assert service.streams[0].last_event_id is None
    assert client.close(PATIENCE_SECONDS)
