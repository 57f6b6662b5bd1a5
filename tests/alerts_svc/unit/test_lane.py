from __future__ import annotations

import asyncio

from alerts_svc.domain.message import Message
from alerts_svc.ports import Result, Sent
from tests.alerts_svc.sending import Bench, message
from tests.alerts_svc.simulation.virtual import in_virtual_time


@in_virtual_time
async def test_what_ends_while_the_store_is_asked_is_not_sent_again() -> None:
    async def slowly(point: str) -> None:
        if point == "due:after":
            await asyncio.sleep(0.3)

    async def soon(_: Message) -> Result:
        await asyncio.sleep(0.1)
        return Sent(200)

    bench = Bench(points=slowly)
    bench.answers["hook"] = soon
    bench.put(message(1))

    async with bench.sender.running():
        await asyncio.sleep(5.0)

    assert [told.id for _, told in bench.sent] == [message(1).id]


@in_virtual_time
async def test_messages_keep_apart_though_the_store_holds_up_the_first() -> None:
    slow = iter([0.8])

    async def unevenly(point: str) -> None:
        if point == "begin_attempt:after":
            await asyncio.sleep(next(slow, 0.0))

    bench = Bench(points=unevenly)
    bench.put(message(1, "chat"), message(1, "chat", incident="another"))

    async with bench.sender.running():
        await asyncio.sleep(5.0)

    first, second = (at for at, _ in bench.sent)
    assert second - first >= 1.0
