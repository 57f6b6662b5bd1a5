"""Telling others of changes while Redis comes and goes."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from flags_svc.domain.world import Change
from flags_svc.live import messages
from flags_svc.live.announcing import Announcer
from tests.flags_svc.replicas import ANN, a_flag, an_edit

# As uvloop says it of a connection that was cut off a moment ago.
CUT = RuntimeError(
    "unable to perform operation on <TCPTransport closed=True>; the handler is closed"
)
FAULTS = [RedisConnectionError(), OSError(), TimeoutError(), CUT]


class Failing:
    """A Redis that fails once, and then takes everything."""

    def __init__(self, fault: Exception) -> None:
        self._faults = [fault]
        self.told: asyncio.Queue[bytes] = asyncio.Queue()

    async def publish(self, _: str, body: bytes) -> None:
        """Take a message."""
        if self._faults:
            raise self._faults.pop()
        await self.told.put(body)


def a_change(revision: int) -> Change:
    return Change(revision, revision, 1.0, ANN, an_edit(a_flag("f")))


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
async def test_what_cannot_be_told_does_not_end_telling(fault: Exception) -> None:
    redis = Failing(fault)
    announcer = Announcer(cast("Redis", cast("Any", redis)))
    running = asyncio.create_task(announcer.run())
    try:
        for revision in (1, 2):
            await announcer.announce("e", [a_change(revision)])
        async with asyncio.timeout(20):
            told = await redis.told.get()
        assert not running.done()
    finally:
        running.cancel()

    assert messages.read(told) == ("e", [a_change(2)])
