"""Waiting for what others bring about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from redis.asyncio import Redis

ENOUGH_SECONDS = 30.0


async def until(holds: Callable[[], object]) -> None:
    """Wait until something holds; raises ``TimeoutError``."""
    async with asyncio.timeout(ENOUGH_SECONDS):
        while not holds():  # noqa: ASYNC110 - nobody tells.
            await asyncio.sleep(0.005)


async def mirrored(url: str, revision: int, environment: str = "production") -> dict[str, str]:
    """Wait until Redis has ``revision`` of an environment, and return all that it has of it."""
    async with (
        Redis.from_url(url, decode_responses=True) as client,
        asyncio.timeout(ENOUGH_SECONDS),
    ):
        while True:
            found = await client.hgetall(f"windsock:flags:{environment}")
            if int(found.get("revision", "0")) >= revision:
                return {str(name): str(value) for name, value in found.items()}
            await asyncio.sleep(0.005)
