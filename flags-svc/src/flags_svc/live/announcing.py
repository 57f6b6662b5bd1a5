"""Tells the other processes of what is committed here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
from redis.asyncio import Redis

from flags_svc.domain.world import Change
from flags_svc.live import messages
from windsock_kit.redis_faults import redis_faults

log = structlog.get_logger(__name__)

MAX_WAITING = 1_000
# Redis cuts off whoever does not take a message soon; what is greater is read from the database.
MAX_BYTES = 4 * 2**20


class Announcer:
    """Tells it on Redis, by ``run``. Whoever announces does not wait for it, and is never failed by it."""

    def __init__(self, redis: Redis | None) -> None:
        self._redis = redis
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING)
        self._away = False

    async def announce(self, epoch: str, changes: Sequence[Change]) -> None:
        """Have the changes told, in the order of the calls."""
        if self._redis is None or self._waiting.full():
            return
        body = messages.write(epoch, changes)
        if len(body) <= MAX_BYTES:
            self._waiting.put_nowait(body)

    async def run(self) -> None:
        """Tell whatever waits, for ever; what cannot be told now is dropped, for it is heard of otherwise."""
        while True:
            body = await self._waiting.get()
            try:
                await self._publish(body)
            except redis_faults as error:
                if not self._away:
                    log.warning("announcing_failed", error=type(error).__name__)
                self._away = True
            else:
                self._away = False

    async def _publish(self, body: bytes) -> None:
        if self._redis is not None:
            await self._redis.publish(messages.CHANNEL, body)
