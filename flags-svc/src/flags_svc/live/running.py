"""Puts the parts together that keep what is in force up to date, here and elsewhere.

The composition root does

    parts = make_live(configuration, registry, redis=..., state_dir=..., ...)
    async with live_running(parts, database_url=..., redis_url=...):
        yield {**live_state(parts), ...}

where ``parts.replica`` is the ``Live`` and ``parts.announcer`` the announcer of the editor.
``live_running`` returns as soon as there are flags to be served, from the database or from the file
of those last known, and after a few seconds anyhow: then questions are answered with 503 until the
database is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TypedDict

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from flags_svc.instruments import Instruments
from flags_svc.live.announcing import Announcer
from flags_svc.live.following import Following
from flags_svc.live.hub import HEARTBEAT_SECONDS, Hub
from flags_svc.live.last_known import LastKnown
from flags_svc.live.mirror import Mirror
from flags_svc.live.replica import Replica
from flags_svc.live.sdk_events import SdkEvents
from flags_svc.ports import Configuration
from windsock_kit.listening import listening
from windsock_kit.loops import PeriodicLoop, guarding, running

START_SECONDS = 5.0
REDIS_SECONDS = 2.0


class LiveState(TypedDict):
    """What routes of the stream need of the state of the application."""

    live: Replica
    hub: Hub
    sdk_events: SdkEvents
    default_environment: str


@dataclass(frozen=True, slots=True)
class LiveParts:
    """Everything that keeps what is in force up to date."""

    replica: Replica
    hub: Hub
    sdk_events: SdkEvents
    announcer: Announcer
    following: Following
    mirror: Mirror | None
    last_known: LastKnown | None
    loops: list[PeriodicLoop]


def make_live(
    configuration: Configuration,
    instruments: Instruments,
    registry: CollectorRegistry,
    *,
    redis: Redis | None,
    state_dir: str,
    reconcile_seconds: float,
    max_streams: int,
) -> LiveParts:
    """Make the parts; without ``redis`` or ``state_dir`` those that need it are left out."""
    replica = Replica(configuration)
    hub = Hub(replica, instruments, limit=max_streams)
    following = Following(replica, instruments, interval=reconcile_seconds, registry=registry)
    mirror = None if redis is None else Mirror(replica, redis, registry=registry)
    last_known = LastKnown(replica, state_dir, registry=registry) if state_dir else None
    beating = PeriodicLoop("heartbeat", hub.beat, interval=HEARTBEAT_SECONDS, registry=registry)
    optional = [part.loop for part in (mirror, last_known) if part is not None]
    instruments.watch(
        revision=lambda: replica.revision if replica.known else 0.0,
        confirmed=lambda: float(replica.confirmed),
        streams=lambda: float(len(hub)),
    )
    return LiveParts(
        replica,
        hub,
        SdkEvents(replica),
        Announcer(redis),
        following,
        mirror,
        last_known,
        [following.loop, beating, *optional],
    )


@asynccontextmanager
async def open_redis(url: str) -> AsyncGenerator[Redis | None]:
    """Open a client that fails soon while Redis is away; ``None`` without an address."""
    if not url:
        yield None
        return
    async with Redis.from_url(
        url,
        socket_timeout=REDIS_SECONDS,
        socket_connect_timeout=REDIS_SECONDS,
        retry=Retry(NoBackoff(), 0),
    ) as client:
        yield client


@asynccontextmanager
async def live_running(
    parts: LiveParts, *, database_url: str, redis_url: str
) -> AsyncGenerator[None]:
    """Follow the configuration for the life of the block."""
    await _begin(parts)
    announcing = asyncio.create_task(parts.announcer.run(), name="announcer")
    try:
        async with (
            running(parts.loops),
            listening(
                parts.following.listens(database_url, redis_url), lambda name: _began(parts, name)
            ),
        ):
            with guarding([announcing]):
                yield
    finally:
        announcing.cancel()
        await asyncio.gather(announcing, return_exceptions=True)
        if parts.last_known is not None:
            # The loop writes at most once a second, and may have ended before the last change.
            await parts.last_known.tick()


async def _begin(parts: LiveParts) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(START_SECONDS):
            seen = None if parts.last_known is None else await parts.last_known.place()
            await parts.following.tick(seen)
    if not parts.replica.known and parts.last_known is not None:
        await parts.last_known.restore()


def _began(parts: LiveParts, name: str) -> None:
    parts.following.began(name)
    if name == "redis" and parts.mirror is not None:
        # It may have come back empty.
        parts.mirror.loop.wake()
