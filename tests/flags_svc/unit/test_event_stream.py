from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry
from starlette.types import Message, Receive

from flags_svc.instruments import Instruments
from flags_svc.live.event_stream import EventStream
from flags_svc.live.hub import Hub
from flags_svc.live.replica import Replica
from flags_svc.live.sdk_events import SdkEvents
from tests.flags_svc.memory import PRODUCTION, MemoryConfiguration
from tests.flags_svc.replicas import a_flag, an_edit
from tests.flags_svc.streams import events_of


async def test_a_great_snapshot_is_handed_over_in_pieces() -> None:
    configuration = MemoryConfiguration()
    configuration.put(PRODUCTION, *(an_edit(a_flag(f"f{index}")) for index in range(1_000)))
    replica = Replica(configuration)
    replica.restore(configuration.world)
    hub = Hub(replica, Instruments(CollectorRegistry()), limit=1)
    subscription = hub.subscribe("production", None, SdkEvents(replica))
    pieces: list[bytes] = []

    async def send(message: Message) -> None:
        if message.get("more_body"):
            pieces.append(message["body"])
            await asyncio.sleep(0)
        if pieces and pieces[-1].endswith(b"\n\n"):
            subscription.end()

    await EventStream(hub, subscription)({"type": "http", "method": "GET"}, _staying(), send)

    (snapshot,) = events_of(b"".join(pieces))
    assert snapshot.data["revision"] == configuration.world.revision
    assert len(pieces) > 1
    assert max(map(len, pieces)) <= 65_536
    assert len(hub) == 0


def _staying() -> Receive:
    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    return receive
