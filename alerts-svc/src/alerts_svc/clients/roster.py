"""Who acts, as told on Redis: only for a replica that cannot ask the store.

A replica that has lost the store cannot know whether the others have lost it too. Without this hint it must believe so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from windsock_kit.redis_faults import redis_faults

KEY: Final = "windsock:alerts:acting"
INTERVAL_SECONDS: Final = 2.0
KEPT_SECONDS: Final = 10
TIMEOUT_SECONDS: Final = 0.5
# Somebody else may have put there what is no number.
_FAULTS: Final[tuple[type[Exception], ...]] = (*redis_faults, ValueError)


class Roster:
    """Says on Redis under which fence somebody acts, and asks; without Redis nobody is heard of."""

    def __init__(self, client: Redis | None) -> None:
        self._client = client

    async def say(self, fence: int) -> None:
        """Say that this process acts."""
        if self._client is None:
            return
        try:
            async with asyncio.timeout(2 * TIMEOUT_SECONDS):
                await self._client.set(KEY, fence, ex=KEPT_SECONDS)
        except redis_faults:
            return

    async def another_acts(self, fence: int) -> bool:
        """Return whether somebody has acted lately under a later fence, as far as is known."""
        if self._client is None:
            return False
        try:
            async with asyncio.timeout(2 * TIMEOUT_SECONDS):
                found = await self._client.get(KEY)
            return found is not None and int(found) > fence
        except _FAULTS:
            return False


@asynccontextmanager
async def open_roster(url: str) -> AsyncGenerator[Roster]:
    """Open the roster for the block; an empty address is none."""
    if not url:
        yield Roster(None)
        return
    client = Redis.from_url(
        url,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    async with client:
        yield Roster(client)
