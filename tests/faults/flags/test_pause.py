"""A service stands still for a while, as on a host without time for it, and goes on as if nothing had been."""

from __future__ import annotations

import asyncio
import time

from tests.faults.flags.suite import CONNECTED_SECONDS, Suite

PAUSED_SECONDS = 10.0


async def test_a_service_that_stood_still_is_up_with_the_others(empty: Suite) -> None:
    paused, other = empty.service("paused"), empty.service("other")
    await asyncio.gather(paused.start(), other.start())
    await empty.found(other)
    application = empty.application("streaming", WINDSOCK_ENDPOINT=paused.url)
    application.start()
    await application.has(backup=False)

    async with empty.asking():
        with empty.away("paused"):
            paused.pause()
            end = time.monotonic() + PAUSED_SECONDS
            while time.monotonic() < end:
                for flag in empty.flags:
                    assert (await empty.change(other, flag)).status == 200
                await asyncio.sleep(0.2)
            paused.resume()
        await empty.settled(CONNECTED_SECONDS)

    await empty.check()
