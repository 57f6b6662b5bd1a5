from __future__ import annotations

import asyncio

import asyncpg

from tests.fixtures.servers import RunningPostgres
from windsock_kit.listening import listening, postgres_channel


async def test_who_listens_to_a_database_that_comes_back_is_told_to_look(
    own_postgres: RunningPostgres,
) -> None:
    url = await own_postgres.new_flags_database("listening")
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def notify(text: str) -> None:
        connection = await asyncpg.connect(url)
        await connection.execute("SELECT pg_notify('news', $1)", text)
        await connection.close()

    job = postgres_channel(url, "news", heard.put_nowait, application_name="test")
    async with (
        listening({"database": job}, lambda name: heard.put_nowait(f"began {name}")),
        asyncio.timeout(60),
    ):
        told = [await heard.get()]
        await notify("one")
        told.append(await heard.get())
        own_postgres.kill()
        await own_postgres.start()
        told.append(await heard.get())
        await notify("two")
        told.append(await heard.get())

    assert told == ["began database", "one", "began database", "two"]
