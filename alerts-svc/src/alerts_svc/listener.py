"""Hears that something has changed: on PostgreSQL what people did, on Redis what metrics-svc took in.

Neither is needed: whoever acts looks by itself, only later. So both are tried again for ever and fail nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import msgspec
import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from alerts_svc.evaluator.news import Announcement
from windsock_kit.loops import guarding

log = structlog.get_logger(__name__)

POSTGRES_CHANNEL = "alerts_changed"
REDIS_CHANNEL = "windsock:metrics:changed"
CONNECT_SECONDS = 5.0
# A connection that nobody closed but that leads nowhere any more is found out so.
CHECK_SECONDS = 15.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
_FAULTS = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    RedisError,
)


@dataclass(frozen=True, slots=True)
class Ears:
    """What to call: ``inbox`` for what waits there, ``changed`` for a new revision, ``outbox`` for the rest."""

    inbox: Callable[[], None]
    changed: Callable[[], None]
    outbox: Callable[[], None]
    announced: Callable[[Announcement], None]


class _Body(msgspec.Struct):
    kinds: list[str] | None = None
    operations: list[str] | None = None
    latest_event_at: float | None = None
    latest_by_operation: dict[str, float] = {}


_bodies = msgspec.json.Decoder(_Body)


class Listener:
    """Listens for the life of ``running``."""

    def __init__(
        self,
        database_url: str,
        redis_url: str,
        ears: Ears,
        *,
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        self._database_url = database_url
        self._redis_url = redis_url
        self._ears = ears
        self._check = check_seconds

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Listen for the life of the block."""
        jobs = {"postgres": self._listen_to_postgres}
        if self._redis_url:
            jobs["redis"] = self._listen_to_redis
        tasks = [
            asyncio.create_task(_again(name, job), name=f"listener:{name}")
            for name, job in jobs.items()
        ]
        try:
            with guarding(tasks):
                yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen_to_postgres(self, listening: Callable[[], None]) -> None:
        connection = await asyncpg.connect(
            self._database_url,
            timeout=CONNECT_SECONDS,
            command_timeout=CONNECT_SECONDS,
            server_settings={"application_name": "alerts-svc listener"},
        )
        try:
            gone = asyncio.Event()
            connection.add_termination_listener(lambda _: gone.set())
            await connection.add_listener(POSTGRES_CHANNEL, self._notified)
            listening()
            # Whatever was said before is not heard again.
            self._ears.changed()
            self._ears.outbox()
            while not await _within(gone.wait(), self._check):
                await connection.execute("SELECT 1")
        finally:
            connection.terminate()

    def _notified(self, _: object, __: int, ___: str, payload: object) -> None:
        what = str(payload)
        if what == "inbox":
            self._ears.inbox()
        elif what.startswith("revision"):
            self._ears.changed()
        else:
            self._ears.outbox()

    async def _listen_to_redis(self, listening: Callable[[], None]) -> None:
        client = Redis.from_url(
            self._redis_url,
            socket_timeout=None,
            socket_connect_timeout=CONNECT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        async with client, client.pubsub(ignore_subscribe_messages=True) as subscription:
            await subscription.subscribe(REDIS_CHANNEL)
            listening()
            asked = False
            while True:
                message = await subscription.get_message(timeout=self._check)
                if message is None:
                    if asked:
                        raise TimeoutError("Redis does not answer a ping")
                    async with asyncio.timeout(CONNECT_SECONDS):
                        await subscription.ping()
                # The answers to pings come this way too.
                elif message["type"] == "message":
                    self._ears.announced(read_announcement(message["data"]))
                asked = message is None


def read_announcement(body: bytes) -> Announcement:
    """Return what an announcement says; one that cannot be read says that anything may have changed."""
    try:
        read = _bodies.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        log.warning("announcement_unreadable")
        return Announcement()
    return Announcement(
        None if read.kinds is None else frozenset(read.kinds),
        None if read.operations is None else frozenset(read.operations),
        read.latest_event_at,
        read.latest_by_operation,
    )


async def _again(name: str, listen: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
    """Listen again whenever it ends, at growing intervals while it does not begin."""
    pause = FIRST_PAUSE
    away = False

    def listening() -> None:
        nonlocal pause, away
        log.info("listening", to=name)
        pause, away = FIRST_PAUSE, False

    while True:
        try:
            await listen(listening)
        except _FAULTS as error:
            if not away:
                log.warning("listening_interrupted", to=name, error=type(error).__name__)
            away = True
        await asyncio.sleep(pause)
        pause = min(LONGEST_PAUSE, 2 * pause)


async def _within(awaitable: Awaitable[bool], seconds: float) -> bool:
    """Return whether it came true in time."""
    try:
        return await asyncio.wait_for(awaitable, seconds)
    except TimeoutError:
        return False
