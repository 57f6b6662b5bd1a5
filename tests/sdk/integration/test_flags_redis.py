"""Flags out of Redis, which may be away, empty, or hold what is no flag."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

import windsock
from tests.fixtures.servers import in_memory, running_redis, server_folder
from tests.sdk.flag_service import PATIENCE_SECONDS, Document, switch
from windsock.flags.client import FeatureFlags
from windsock.flags.shared import RedisFeed
from windsock.flags.source import Notice
from windsock.flags.watching import Pace, WatchedSource
from windsock.testing import Captured

numbers = itertools.count(1)
Follow = Callable[..., FeatureFlags]


class Mirror:
    """Puts one environment into Redis as the service does."""

    def __init__(self, url: str, environment: str) -> None:
        self.environment = environment
        self.revision = 0
        self._hash = f"windsock:flags:{environment}"
        self._client: Any = redis.Redis.from_url(url)

    def put(self, *flags: Document, told: bool = True, **more: Any) -> None:
        self.revision += 1
        fields = {f"flag:{flag['key']}": json.dumps(flag) for flag in flags}
        self._client.hset(self._hash, mapping={**fields, "epoch": "e1", "revision": self.revision})
        if told:
            document = {
                "epoch": "e1",
                "revision": self.revision,
                "previous": self.revision - 1,
                "flags": list(flags),
                **more,
            }
            self.tell(json.dumps(document).encode())

    def tell(self, message: bytes) -> None:
        self._client.publish(f"{self._hash}:changes", message)

    def write(self, **fields: Any) -> None:
        self._client.hset(self._hash, mapping=fields)

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def mirror(redis_url: str) -> Iterator[Mirror]:
    mirror = Mirror(redis_url, f"sdk-{next(numbers)}")
    yield mirror
    mirror.close()


@pytest.fixture
def follow(captured: Captured) -> Iterator[Follow]:
    clients = []

    def make(url: str, environment: str, heard: Callable[[Notice], None]) -> FeatureFlags:
        client = FeatureFlags(windsock.get_metrics_collector())
        pace = Pace(silence=0.5, steady=60.0, longest_wait=0.02)
        client.install(WatchedSource(RedisFeed(url, environment), pace=pace))
        client.subscribe(heard)
        clients.append(client)
        return client

    yield make
    assert all(client.close(PATIENCE_SECONDS) for client in clients)


class Told:
    def __init__(self) -> None:
        self.kinds: list[str] = []
        self._moved = threading.Condition()

    def __call__(self, notice: Notice) -> None:
        with self._moved:
            self.kinds.append(notice.kind)
            self._moved.notify_all()

    def until(self, held: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        with self._moved:
            # Not all is told that changes.
            while not held():
                assert time.monotonic() < end
                self._moved.wait(0.01)


def test_what_is_there_and_then_changes_are_in_force(
    mirror: Mirror, follow: Follow, redis_url: str
) -> None:
    mirror.put(switch("f"), switch("other"))
    told = Told()
    client = follow(redis_url, mirror.environment, told)
    assert client.ready(PATIENCE_SECONDS)
    assert client.is_enabled("f")

    mirror.put(switch("f", on=False), removed=["other"])
    told.until(lambda: client.status().revision == 2)

    assert not client.is_enabled("f", default=True)
    assert client.details("other").error_code == "FLAG_NOT_FOUND"
    assert client.status().source == "redis"


@pytest.mark.parametrize(
    "message",
    [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"epoch": "e1", "revision": 9, "previous": 7}'],
    ids=["empty", "half", "list", "no UTF-8", "brackets", "a gap"],
)
def test_what_cannot_be_followed_makes_it_read_everything(
    mirror: Mirror, follow: Follow, redis_url: str, message: bytes
) -> None:
    mirror.put(switch("f"))
    told = Told()
    client = follow(redis_url, mirror.environment, told)
    assert client.ready(PATIENCE_SECONDS)

    mirror.put(switch("f", on=False), told=False)
    mirror.tell(message)
    told.until(lambda: client.status().revision == 2)

    assert not client.is_enabled("f", default=True)


def test_what_redis_had_saved_is_taken_only_when_it_stays(
    mirror: Mirror, follow: Follow, redis_url: str
) -> None:
    mirror.put(switch("f", on=False))
    mirror.put(switch("f"))
    told = Told()
    client = follow(redis_url, mirror.environment, told)
    assert client.ready(PATIENCE_SECONDS)

    mirror.write(**{"revision": 1, "flag:f": json.dumps(switch("f", on=False))})
    mirror.tell(b"")
    told.until(lambda: "at revision 1, after 2" in client.status().problem)
    kept = client.is_enabled("f")

    def is_back() -> bool:
        mirror.tell(b"")
        return client.status().revision == 1

    told.until(is_back)

    assert kept
    assert not client.is_enabled("f", default=True)


def test_an_environment_that_is_not_there_yet_is_waited_for(
    mirror: Mirror, follow: Follow, redis_url: str
) -> None:
    told = Told()
    client = follow(redis_url, mirror.environment, told)
    client.is_enabled("f")
    told.until(lambda: "error" in told.kinds)
    assert "has no" in client.status().problem

    mirror.put(switch("f"))
    told.until(lambda: client.status().connected)

    assert client.is_enabled("f")


def test_garbage_in_redis_leaves_the_flags_as_they_are(
    mirror: Mirror, follow: Follow, redis_url: str
) -> None:
    mirror.put(switch("f"))
    told = Told()
    client = follow(redis_url, mirror.environment, told)
    assert client.ready(PATIENCE_SECONDS)

    mirror.write(**{"flag:f": "{", "revision": 2})
    mirror.tell(b"look")
    told.until(lambda: not client.status().connected)
    assert client.is_enabled("f")
    mirror.revision = 2
    mirror.put(switch("f", on=False))
    told.until(lambda: client.status().revision == 3)

    assert not client.is_enabled("f", default=True)


def test_redis_may_be_killed_and_come_back(follow: Follow) -> None:
    told = Told()
    with server_folder(in_memory()) as folder:
        with running_redis(folder) as url:
            mirror = Mirror(url, "sdk")
            mirror.put(switch("f"))
            client = follow(url, "sdk", told)
            assert client.ready(PATIENCE_SECONDS)
        told.until(lambda: "stale" in told.kinds)
        assert client.is_enabled("f")
        with running_redis(folder, port=int(url.rsplit(":", 1)[1].split("/")[0])):
            mirror.put(switch("f", on=False))
            told.until(lambda: client.status().revision == 2 and client.status().connected)
            assert client.close(PATIENCE_SECONDS)
        mirror.close()

    assert not client.is_enabled("f", default=True)


def test_an_address_that_is_none_is_a_problem(follow: Follow) -> None:
    told = Told()
    client = follow("redis://:hidden/word@127.0.0.1:6379/0", "sdk", told)
    started = time.monotonic()

    assert client.is_enabled("f", default=True)
    told.until(lambda: "error" in told.kinds)

    assert client.status().problem == "Redis: the address cannot be used"
    assert time.monotonic() - started < PATIENCE_SECONDS
