"""A service dies in the middle of things: what it has committed is in force everywhere, and who followed it comes back."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.flags.processes import RedisServer
from tests.faults.flags.suite import RECONNECTED_SECONDS, Suite

FLAG = "number-a"


@pytest.mark.parametrize(
    ("place", "comes_true"), [("before_commit", False), ("after_commit", True), ("telling", True)]
)
async def test_a_service_dies(
    empty: Suite, redis: RedisServer, place: str, comes_true: bool
) -> None:
    mortal = empty.service("mortal", FLAGS_REDIS_URL=redis.url)
    other = empty.service("other", FLAGS_REDIS_URL=redis.url)
    await other.start()
    await empty.found(other)
    # The second stream of three.
    await mortal.start(crash=f"{place}:{2 if place == 'telling' else 1}", flag=FLAG)
    for number in range(3):
        application = empty.application(f"follower-{number}", WINDSOCK_ENDPOINT=mortal.url)
        application.start()
        await application.has(backup=False)

    async with empty.asking():
        with empty.away("mortal"):
            doomed = await empty.change(mortal, FLAG)
            await mortal.died()
            await empty.value_of(other, FLAG, doomed.number - (not comes_true))
            await mortal.start()
        async with empty.changing():
            await asyncio.sleep(1.0)
        await empty.settled(RECONNECTED_SECONDS)

    assert doomed.status == (200 if place == "telling" and doomed.status else 0)
    await empty.check()
