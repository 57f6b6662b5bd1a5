"""The way from applications to their service is cut in the middle of events, goes silent, and carries a byte at a time."""

from __future__ import annotations

import asyncio

from tests.faults.fault_proxy import LimitData, ResetPeer, Slicer, fault_proxy
from tests.faults.flags.suite import RECONNECTED_SECONDS, Suite


async def test_events_are_cut_and_come_in_pieces(empty: Suite) -> None:
    service = empty.service("service")
    await service.start()
    await empty.found(service)
    async with fault_proxy(service.url, seed=1) as (way, url):
        for number in range(3):
            empty.application(f"application-{number}", WINDSOCK_ENDPOINT=url).start()

        async with empty.asking():
            for toxic in (LimitData(1_500), LimitData(9_001), ResetPeer(), Slicer(7, pause=0.001)):
                way.add(toxic, "down", probability=0.7)
                async with empty.changing():
                    for _ in range(3):
                        await asyncio.sleep(0.25)
                        way.cut()
                way.clear()
            await way.down()
            async with empty.changing():
                await asyncio.sleep(0.5)
            await way.up()
            await empty.settled(RECONNECTED_SECONDS)

        await empty.check()
