"""A Redis that is there, but silent."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from alerts_svc.evaluator.news import Announcement
from alerts_svc.listener import Ears, Listener
from tests.fixtures.servers import RunningPostgres


def nothing() -> None:
    """Hear nothing."""


async def test_a_redis_that_answers_no_ping_is_asked_anew(
    running_postgres: RunningPostgres, redis_url: str
) -> None:
    database = await running_postgres.new_alerts_database("alerts_listener")
    address = urlsplit(redis_url)
    heard: list[Announcement] = []
    said: list[bytearray] = []
    twice = asyncio.Event()

    async def until_it_listens(client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """Pass everything on to Redis, and nothing back after the answer to the subscription."""
        mine = bytearray()
        said.append(mine)
        if len(said) == 2:
            twice.set()
        redis, forth = await asyncio.open_connection(address.hostname, address.port)
        answering = asyncio.create_task(_answers(redis, back))
        while read := await client.read(4096):
            mine += read
            forth.write(read)
        answering.cancel()
        forth.close()
        back.close()

    server = await asyncio.start_server(until_it_listens, "127.0.0.1", 0)
    url = address._replace(netloc=f"127.0.0.1:{server.sockets[0].getsockname()[1]}").geturl()
    ears = Ears(nothing, nothing, nothing, heard.append)
    listener = Listener(database, url, ears, check_seconds=0.2)
    async with server, listener.running(), asyncio.timeout(10):
        await twice.wait()

    assert b"PING" in said[0]
    assert heard == []


async def _answers(redis: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
    while read := await redis.read(4096):
        back.write(read)
        if b"subscribe" in read:
            return
