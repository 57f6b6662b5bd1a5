"""A TCP proxy that makes a network bad: slow, cut, silent, broken into pieces; each way by itself, and by chance.

What it can do is what Toxiproxy's toxics do. All of it is driven from the test's own event loop and drawn from a seed.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

Way = Literal["up", "down"]
"""``up`` is what the client sends, ``down`` what it is answered."""

_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Latency:
    """Everything arrives later."""

    seconds: float
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """Everything arrives slowly."""

    bytes_per_second: float


@dataclass(frozen=True, slots=True)
class SlowClose:
    """An end is told late."""

    seconds: float


@dataclass(frozen=True, slots=True)
class BlackHole:
    """Nothing arrives; after ``seconds`` the connection is closed, or never."""

    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ResetPeer:
    """The connection is reset, ``seconds`` after the first byte."""

    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Slicer:
    """Everything arrives in pieces with a pause between them."""

    size: int
    pause: float = 0.0


@dataclass(frozen=True, slots=True)
class LimitData:
    """The connection is closed after so many bytes."""

    size: int


Toxic = Latency | Bandwidth | SlowClose | BlackHole | ResetPeer | Slicer | LimitData


@dataclass(frozen=True, slots=True)
class _Poison:
    toxic: Toxic
    way: Way
    probability: float


class _Cut(Exception):  # noqa: N818  the end of a connection, not an error
    """The connection ends here; ``reset`` says how."""

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__()
        self.reset = reset


class FaultProxy:
    """Stands before one server; its port stays the same over ``down`` and ``up``."""

    def __init__(self, host: str, port: int, *, seed: int = 0) -> None:
        self._target = (host, port)
        self._random = random.Random(seed)
        self._poisons: list[_Poison] = []
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None
        self._port = 0
        self.connections = 0

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    def add(self, toxic: Toxic, way: Way = "down", *, probability: float = 1.0) -> None:
        """Put a fault on one way of all connections, open ones too; each is hit with ``probability``."""
        self._poisons.append(_Poison(toxic, way, probability))

    def clear(self) -> None:
        """Take all faults away; what was swallowed stays lost."""
        self._poisons.clear()

    def cut(self) -> None:
        """Reset every connection that is open."""
        for link in list(self._links):
            link.abort(reset=True)

    async def down(self) -> None:
        """Refuse connections, and reset those that are open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    async def up(self) -> None:
        """Listen, on the same port as ever."""
        if self._server is None:
            self._server = await asyncio.start_server(
                self._serve, "127.0.0.1", self._port, reuse_address=True
            )
            self._port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """End everything."""
        await self.down()
        await asyncio.gather(*(link.done.wait() for link in list(self._links)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            above = await asyncio.open_connection(*self._target)
        except OSError:
            _abort(writer, reset=True)
            return
        if self._server is None:
            # It went down meanwhile.
            _abort(writer, reset=True)
            _abort(above[1], reset=True)
            return
        link = _Link(self, (reader, writer), above)
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)

    def poisons(self, way: Way, hit: dict[_Poison, bool]) -> list[Toxic]:
        """Return what a connection meets on its way; whether it is hit is drawn once for each connection."""
        found = []
        for poison in self._poisons:
            if poison.way != way:
                continue
            if poison not in hit:
                hit[poison] = self._random.random() < poison.probability
            if hit[poison]:
                found.append(poison.toxic)
        return found

    def jittered(self, latency: Latency) -> float:
        """Draw for how long a chunk is held up."""
        return max(0.0, latency.seconds + self._random.uniform(-1, 1) * latency.jitter)


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Link:
    """One connection, both ways."""

    def __init__(self, proxy: FaultProxy, client: Stream, server: Stream) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._hit: dict[_Poison, bool] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.done = asyncio.Event()

    async def run(self) -> None:
        """Carry bytes until both ways have ended, or one was cut."""
        self._tasks = [
            asyncio.create_task(self._carry("up", self._client[0], self._server[1])),
            asyncio.create_task(self._carry("down", self._server[0], self._client[1])),
        ]
        reset = False
        try:
            await asyncio.gather(*self._tasks)
        except _Cut as cut:
            reset = cut.reset
        except (OSError, asyncio.CancelledError):
            reset = True
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self.abort(reset=reset)
            self.done.set()

    def abort(self, *, reset: bool) -> None:
        """End both sides at once."""
        for task in self._tasks:
            task.cancel()
        for _, writer in (self._client, self._server):
            _abort(writer, reset=reset)

    async def _carry(
        self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        carried = 0
        while data := await reader.read(_CHUNK):
            data, last = await self._poisoned(way, data, carried)
            carried += len(data)
            await self._write(way, writer, data)
            if last:
                raise _Cut
        for toxic in self._proxy.poisons(way, self._hit):
            if isinstance(toxic, SlowClose):
                await asyncio.sleep(toxic.seconds)
            elif isinstance(toxic, BlackHole):
                await _swallow(toxic)
                # Nor does the end ever arrive.
                await self.done.wait()
        with suppress(OSError, RuntimeError):
            writer.write_eof()

    async def _poisoned(self, way: Way, data: bytes, carried: int) -> tuple[bytes, bool]:
        """Hold up a chunk as it must be; return what goes on of it, and whether the connection ends after it."""
        last = False
        for toxic in self._proxy.poisons(way, self._hit):
            match toxic:
                case Latency():
                    await asyncio.sleep(self._proxy.jittered(toxic))
                case ResetPeer():
                    await asyncio.sleep(toxic.seconds)
                    raise _Cut(reset=True)
                case BlackHole():
                    await _swallow(toxic)
                    data = b""
                case LimitData():
                    left = max(0, toxic.size - carried)
                    data, last = data[:left], last or len(data) >= left
                case _:
                    pass
        return data, last

    async def _write(self, way: Way, writer: asyncio.StreamWriter, data: bytes) -> None:
        toxics = self._proxy.poisons(way, self._hit)
        slicer = next((t for t in toxics if isinstance(t, Slicer)), Slicer(_CHUNK))
        rate = next((t.bytes_per_second for t in toxics if isinstance(t, Bandwidth)), None)
        size = slicer.size if rate is None else min(slicer.size, max(1, int(rate / 20)))
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(slicer.pause + (0 if rate is None else len(piece) / rate))


async def _swallow(hole: BlackHole) -> None:
    if hole.seconds is not None:
        await asyncio.sleep(hole.seconds)
        raise _Cut


def _abort(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset:
        with suppress(OSError):
            # No lingering: closing then sends a reset.
            found = writer.get_extra_info("socket")
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def fault_proxy(url: str, *, seed: int = 0) -> AsyncGenerator[tuple[FaultProxy, str]]:
    """Give a proxy before the server of an address, and the address that leads through it."""
    parts = urlsplit(url)
    proxy = FaultProxy(parts.hostname or "", parts.port or 0, seed=seed)
    await proxy.up()
    user, at, _ = parts.netloc.rpartition("@")
    try:
        yield proxy, urlunsplit(parts._replace(netloc=f"{user}{at}127.0.0.1:{proxy.port}"))
    finally:
        await proxy.close()
