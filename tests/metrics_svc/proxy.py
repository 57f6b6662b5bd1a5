"""A TCP proxy before PostgreSQL that cuts the connection at a COMMIT, before or after it took effect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

_COMMIT = b"COMMIT;\0"
Cut = Literal["before", "after", None]


class Proxy:
    """Cuts the next ``cuts`` commits."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._tasks: set[asyncio.Task[None]] = set()
        self.cut: Cut = None
        self.cuts = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(*self._target)
        muted = asyncio.Event()
        both = [
            asyncio.create_task(self._to_server(reader, up_writer, muted)),
            asyncio.create_task(self._to_client(up_reader, writer, muted)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            for each in (writer, up_writer):
                each.transport.abort()

    async def _to_server(
        self, reader: asyncio.StreamReader, server: asyncio.StreamWriter, muted: asyncio.Event
    ) -> None:
        while data := await reader.read(65_536):
            if self.cuts and _COMMIT in data:
                self.cuts -= 1
                if self.cut == "before":
                    return
                muted.set()
            server.write(data)
            await server.drain()

    async def _to_client(
        self, server: asyncio.StreamReader, writer: asyncio.StreamWriter, muted: asyncio.Event
    ) -> None:
        while data := await server.read(65_536):
            if muted.is_set():
                # The server has answered, so the commit has happened. The client never hears of it.
                return
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def proxied(url: str) -> AsyncGenerator[tuple[Proxy, str]]:
    """Give a proxy before the database at ``url``, and the address that leads through it."""
    parts = urlsplit(url)
    proxy = Proxy(parts.hostname or "", parts.port or 0)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    address = parts.netloc.rpartition("@")[0]
    try:
        yield proxy, urlunsplit(parts._replace(netloc=f"{address}@127.0.0.1:{port}"))
    finally:
        server.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(server.wait_closed(), 5)
