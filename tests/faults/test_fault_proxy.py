"""That the faults which other tests rely on happen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from tests.faults.fault_proxy import (
    Bandwidth,
    BlackHole,
    FaultProxy,
    Latency,
    LimitData,
    ResetPeer,
    Slicer,
    SlowClose,
    Way,
    fault_proxy,
)


@pytest_asyncio.fixture
async def proxy() -> AsyncGenerator[FaultProxy]:
    """Give a proxy before a server that sends back what it is sent, and ends when the client does."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(4_096):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with fault_proxy(f"tcp://127.0.0.1:{port}") as (made, _):
        yield made
    server.close()


async def echoed(proxy: FaultProxy, data: bytes, *, seconds: float = 5.0) -> tuple[bytes, float]:
    """Send ``data`` and its end; return what came back until the end, and how long that took."""
    started = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        async with asyncio.timeout(seconds):
            writer.write(data)
            writer.write_eof()
            return await reader.read(-1), time.monotonic() - started
    finally:
        writer.transport.abort()


async def test_without_faults_it_changes_nothing(proxy: FaultProxy) -> None:
    data = bytes(range(256)) * 1_000

    assert (await echoed(proxy, data))[0] == data


@pytest.mark.parametrize("way", ["up", "down"])
async def test_latency_holds_up_one_way(proxy: FaultProxy, way: Way) -> None:
    proxy.add(Latency(0.2, jitter=0.05), way)

    data, seconds = await echoed(proxy, b"data")

    assert data == b"data"
    assert seconds >= 0.15


async def test_bandwidth_is_bounded(proxy: FaultProxy) -> None:
    proxy.add(Bandwidth(10_000))

    data, seconds = await echoed(proxy, bytes(3_000))

    assert len(data) == 3_000
    assert seconds >= 0.25


async def test_pieces_are_small(proxy: FaultProxy) -> None:
    proxy.add(Slicer(1, pause=0.02))
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)

    writer.write(b"abc")
    pieces = [await reader.read(100) for _ in range(3)]

    assert pieces == [b"a", b"b", b"c"]
    writer.close()


async def test_black_hole_answers_nothing_and_closes_when_told_to(proxy: FaultProxy) -> None:
    proxy.add(BlackHole())
    with pytest.raises(TimeoutError):
        await echoed(proxy, b"data", seconds=0.2)

    proxy.clear()
    proxy.add(BlackHole(0.1))
    data, _ = await echoed(proxy, b"data")

    assert data == b""


async def test_reset_is_one(proxy: FaultProxy) -> None:
    proxy.add(ResetPeer())

    with pytest.raises(ConnectionResetError):
        await echoed(proxy, b"data")


async def test_connection_ends_after_so_many_bytes(proxy: FaultProxy) -> None:
    proxy.add(LimitData(2))

    assert (await echoed(proxy, b"data"))[0] == b"da"


async def test_end_is_told_late(proxy: FaultProxy) -> None:
    proxy.add(SlowClose(0.2))

    data, seconds = await echoed(proxy, b"data")

    assert data == b"data"
    assert seconds >= 0.2


async def test_some_connections_are_hit_by_chance(proxy: FaultProxy) -> None:
    proxy.add(LimitData(0), probability=0.5)

    answers = [(await echoed(proxy, b"data"))[0] for _ in range(40)]

    assert 5 < answers.count(b"") < 35
    assert set(answers) == {b"", b"data"}


async def test_down_refuses_and_cuts_and_up_is_on_the_same_port(proxy: FaultProxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"a")
    await reader.readexactly(1)
    port = proxy.port

    await proxy.down()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    await proxy.up()

    assert proxy.port == port
    assert (await echoed(proxy, b"data"))[0] == b"data"
