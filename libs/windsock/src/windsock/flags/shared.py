"""Flags out of Redis, where flags-svc mirrors them for processes beside it."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

from windsock.flags.evaluation import PROVIDER_NOT_READY
from windsock.flags.reading import InvalidFlagsError
from windsock.flags.versions import (
    NoFlags,
    OutOfStepError,
    Version,
    after_change,
    document_of,
    from_snapshot,
    is_older,
)
from windsock.flags.watching import FeedError, Hold

CHECK_SECONDS = 5.0
# How long a thread that is told to stop may take to notice.
_LISTEN_SECONDS = 0.25
_TIMEOUT_SECONDS = 5.0
NOT_YET = NoFlags(PROVIDER_NOT_READY, "Redis has not answered yet")


class RedisFeed:
    """Reads the hash of the environment, then follows its channel.

    Messages of Redis may be lost, and it has no heartbeat: what follows on nothing that is known,
    and five seconds without a message, make it look at the hash. Raises ``ImportError`` without
    the package ``redis``.
    """

    name = "redis"

    def __init__(
        self, url: str, environment: str, *, backup: Callable[[], Version | None] = lambda: None
    ) -> None:
        # Here, as a child forked while a thread imports has half a module for good.
        self._redis: Any = importlib.import_module("redis")
        retry: Any = importlib.import_module("redis.retry")
        backoff: Any = importlib.import_module("redis.backoff")
        # Whoever listens tries again, and tells meanwhile what is wrong.
        self._no_retry: Any = retry.Retry(backoff.NoBackoff(), 0)
        self._url = url
        self._hash = f"windsock:flags:{environment}"
        self._backup = backup
        self._older_since: float | None = None

    def first(self) -> tuple[Version | NoFlags, bool]:
        return self._backup() or NOT_YET, False

    def listen(self, hold: Hold) -> None:
        try:
            client = self._client()
            with client, client.pubsub() as channel:
                channel.subscribe(f"{self._hash}:changes")
                self._follow(client, channel, hold)
        # ValueError: an answer that makes no sense.
        except (self._redis.RedisError, OSError, ValueError) as error:
            raise FeedError(f"Redis: {type(error).__name__}: {error}"[:300]) from None

    def interrupt(self) -> None:
        return

    def forget_after_fork(self) -> None:
        return

    def _client(self) -> Any:
        try:
            return self._redis.Redis.from_url(
                self._url,
                socket_timeout=_TIMEOUT_SECONDS,
                socket_connect_timeout=_TIMEOUT_SECONDS,
                retry=self._no_retry,
            )
        # What redis says of it may quote a part of the password.
        except ValueError:
            raise FeedError("Redis: the address cannot be used") from None

    def _follow(self, client: Any, channel: Any, hold: Hold) -> None:
        # Not before it is subscribed, or what is told in between would be lost.
        checked: float | None = None
        while not hold.stopping.is_set():
            message = channel.get_message(timeout=_LISTEN_SECONDS)
            now = time.monotonic()
            if message is not None and message["type"] == "message":
                if not self._take(message["data"], hold):
                    self._load(client, hold)
                checked = now
            elif message is not None or (checked is not None and now - checked >= CHECK_SECONDS):
                self._check(client, hold)
                checked = now

    def _take(self, data: bytes, hold: Hold) -> bool:
        """Put a change in force; return whether that could be done."""
        if isinstance(hold.version, NoFlags):
            return False
        try:
            hold.put(after_change(hold.version, document_of(data)))
        except (OutOfStepError, InvalidFlagsError, RecursionError):
            return False
        return True

    def _check(self, client: Any, hold: Hold) -> None:
        epoch, revision = client.hmget(self._hash, "epoch", "revision")
        version = hold.version
        known = None if isinstance(version, NoFlags) else version.id
        if epoch is None or revision is None:
            hold.trouble(NoFlags(PROVIDER_NOT_READY, f"Redis has no {self._hash}"))
        elif f"{epoch.decode()}-{int(revision)}" == known:
            hold.heard()
        else:
            self._load(client, hold)

    def _load(self, client: Any, hold: Hold) -> None:
        fields: dict[bytes, bytes] = client.hgetall(self._hash)
        try:
            document = {
                "epoch": fields.get(b"epoch", b"").decode(),
                "revision": int(fields.get(b"revision", b"")),
                "flags": [document_of(fields[key]) for key in fields if key.startswith(b"flag:")],
                "segments": [
                    document_of(fields[key]) for key in fields if key.startswith(b"segment:")
                ],
            }
            former = hold.version if isinstance(hold.version, Version) else None
            version = from_snapshot(document, former)
        except (ValueError, RecursionError) as error:
            raise FeedError(f"{self._hash} cannot be read: {error}"[:300]) from None
        if former is not None and is_older(version, former) and self._bears(hold):
            message = f"Redis has come back at revision {version.revision}, after {former.revision}"
            hold.trouble(NoFlags(PROVIDER_NOT_READY, message))
            return
        self._older_since = None
        hold.put(version)

    def _bears(self, hold: Hold) -> bool:
        """Return whether to wait for the service to bring Redis up; what stays behind has lost changes for good."""
        now = time.monotonic()
        if self._older_since is None:
            self._older_since = now
        return now - self._older_since <= hold.pace.silence
