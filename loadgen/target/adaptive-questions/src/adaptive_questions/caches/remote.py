"""The second layer: a Redis that all processes share, and that may be away."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Generic, TypeVar

import msgspec
import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from adaptive_questions.caches.lookup import Ghosts, Kept, Lookups, Miss, V
from adaptive_questions.seldom import Seldom
from windsock_kit.redis_faults import redis_faults

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS: Final = 0.5
REST_SECONDS: Final = 2.0
MAX_COMMANDS: Final = 32
JITTER: Final = 0.1
_R = TypeVar("_R")


class SharedRedis:
    """A Redis that is left alone for a while after it failed, so that nobody waits for a dead one."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = Redis.from_url(
            url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._clock = clock
        self._turns = asyncio.Semaphore(MAX_COMMANDS)
        self._away = False
        self._try_at = float("-inf")
        self._warnings = Seldom(clock)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def ask(self, command: Callable[[Redis], Awaitable[_R]]) -> _R | None:
        """Return what Redis answers to ``command``, ``None`` while it is away."""
        async with self._turns:
            if self._away:
                if self._clock() < self._try_at:
                    return None
                # One tries; the others go on without until it is known whether Redis is back.
                self._try_at = self._clock() + REST_SECONDS
            try:
                async with asyncio.timeout(2 * TIMEOUT_SECONDS):
                    answer = await command(self._client)
            except redis_faults as error:
                self._rest(error)
                return None
            self._away = False
            return answer

    def _rest(self, error: Exception) -> None:
        self._away, self._try_at = True, self._clock() + REST_SECONDS
        if self._warnings.due():
            log.warning("cache_unreachable", error=str(error), kind=type(error).__name__)


class RemoteCache(Generic[V]):
    """Entries of one kind in Redis, under ``namespace``, which names their form too.

    Each is kept for ``ttl_seconds``, up to a tenth less, by its key: entries that were made
    together do not all end together.
    """

    def __init__(
        self,
        redis: SharedRedis,
        kind: type[V],
        *,
        namespace: str,
        ttl_seconds: float,
        capacity: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lookups = Lookups()
        self._redis = redis
        self._namespace = namespace
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._written = Ghosts(capacity)
        # Only the caller knows the kind, so mypy cannot follow the subscript.
        self._decoder: msgspec.msgpack.Decoder[Kept[V]] = msgspec.msgpack.Decoder(Kept[kind])  # type: ignore[valid-type]
        self._encoder = msgspec.msgpack.Encoder()
        self._warnings = Seldom(clock)

    async def get(self, keys: Sequence[str]) -> list[Kept[V] | Miss]:
        """Return what is kept under each of ``keys``, in one round trip."""
        names = [self._name(key) for key in keys]
        answers = await self._redis.ask(lambda redis: redis.mget(names))
        found = [
            Miss(None) if answers is None else self._read(key, answers[at])
            for at, key in enumerate(keys)
        ]
        hits = sum(isinstance(each, Kept) for each in found)
        self.lookups.hits += hits
        self.lookups.misses += len(found) - hits
        return found

    async def put(self, entries: Mapping[str, Kept[V]]) -> None:
        """Keep ``entries``, in one round trip; nothing is told if Redis is away."""
        now = self._clock()

        async def write(redis: Redis) -> bool:
            async with redis.pipeline(transaction=False) as pipeline:
                for key, kept in entries.items():
                    milliseconds = int(self._ttl(key) * 1000)
                    # Queued: there is nothing to await before execute.
                    _ = pipeline.set(self._name(key), self._encoder.encode(kept), px=milliseconds)
                await pipeline.execute()
            return True

        if await self._redis.ask(write):
            for key in entries:
                self._written.remember(key, now + self._ttl(key))

    def _read(self, key: str, data: object) -> Kept[V] | Miss:
        if not isinstance(data, bytes):
            return Miss(self._written.reason(key, self._clock()))
        try:
            return self._decoder.decode(data)
        except msgspec.DecodeError:
            # Somebody else's, or of another version that kept the namespace: made anew.
            if self._warnings.due():
                log.warning("cache_entry_unreadable", key=self._name(key))
            return Miss(None)

    def _name(self, key: str) -> str:
        return f"{self._namespace}:{key}"

    def _ttl(self, key: str) -> float:
        share = zlib.crc32(key.encode()) / 2**32
        return self._ttl_seconds * (1 - JITTER * share)
