"""Listening to PostgreSQL's notifications and to Redis's channels, through their absence.

Whatever is said while nobody listens is lost, so ``began`` is called whenever listening has begun
(again): whoever listens then looks for what was missed. Needs the extra ``redis``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg
import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from windsock_kit.loops import guarding
from windsock_kit.redis_faults import redis_faults

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 5.0
# A connection that nobody closed but that leads nowhere any more is found out so.
CHECK_SECONDS = 15.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
_FAULTS: tuple[type[Exception], ...] = (
    *redis_faults,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)

Listen: TypeAlias = Callable[[Callable[[], None]], Awaitable[None]]
"""Listens until that fails; calls what it is given as soon as it hears."""


def postgres_channel(
    url: str,
    channel: str,
    heard: Callable[[str], None],
    *,
    application_name: str,
    check_seconds: float = CHECK_SECONDS,
) -> Listen:
    """Return what hands the payload of each notification on ``channel`` to ``heard``."""

    def notified(_: object, __: int, ___: str, payload: object) -> None:
        heard(str(payload))

    async def listen(began: Callable[[], None]) -> None:
        connection = await asyncpg.connect(
            url,
            timeout=CONNECT_SECONDS,
            command_timeout=CONNECT_SECONDS,
            server_settings={"application_name": application_name},
        )
        try:
            gone = asyncio.Event()
            connection.add_termination_listener(lambda _: gone.set())
            await connection.add_listener(channel, notified)
            began()
            while not await _within(gone.wait(), check_seconds):
                await connection.execute("SELECT 1")
        finally:
            connection.terminate()

    return listen


def redis_channel(
    url: str,
    channel: str,
    heard: Callable[[bytes], None],
    *,
    check_seconds: float = CHECK_SECONDS,
) -> Listen:
    """Return what hands each message on ``channel`` to ``heard``."""

    async def listen(began: Callable[[], None]) -> None:
        client = Redis.from_url(
            url,
            socket_timeout=None,
            socket_connect_timeout=CONNECT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        async with client, client.pubsub(ignore_subscribe_messages=True) as subscription:
            await subscription.subscribe(channel)
            began()
            asked = False
            while True:
                message = await subscription.get_message(timeout=check_seconds)
                if message is None:
                    if asked:
                        raise TimeoutError("Redis does not answer a ping")
                    async with asyncio.timeout(CONNECT_SECONDS):
                        await subscription.ping()
                # The answers to pings come this way too.
                elif message["type"] == "message":
                    heard(message["data"])
                asked = message is None

    return listen


@asynccontextmanager
async def listening(
    jobs: Mapping[str, Listen], began: Callable[[str], None]
) -> AsyncGenerator[None]:
    """Listen for the life of the block, each job again whenever it fails; ``began`` gets its name each time."""
    tasks = [
        asyncio.create_task(_again(name, job, began), name=f"listening:{name}")
        for name, job in jobs.items()
    ]
    try:
        with guarding(tasks):
            yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _again(name: str, listen: Listen, began: Callable[[str], None]) -> None:
    """Listen again whenever it ends, at growing intervals while it does not begin."""
    pause = FIRST_PAUSE
    away = False

    def note() -> None:
        nonlocal pause, away
        log.info("listening", to=name)
        pause, away = FIRST_PAUSE, False
        began(name)

    while True:
        try:
            await listen(note)
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
