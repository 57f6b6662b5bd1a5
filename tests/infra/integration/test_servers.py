from __future__ import annotations

from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from tests.fixtures.servers import RunningPostgres


async def test_the_role_of_a_service_writes_its_own_schema_only(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)

    try:
        await connection.execute("CREATE TEMPORARY TABLE scratch (a int)")
        await connection.execute("CREATE TABLE metrics.scratch (a int)")
        await connection.execute("DROP TABLE metrics.scratch")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE TABLE public.scratch (a int)")
    finally:
        await connection.close()


async def test_committed_rows_survive_a_killed_server(own_postgres: RunningPostgres) -> None:
    url = await own_postgres.new_database("windsock")
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE metrics.kept AS SELECT 7 AS a")

    own_postgres.kill()
    await own_postgres.start()

    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT a FROM metrics.kept") == 7
    await connection.close()


async def test_each_new_database_is_empty(new_database: Callable[[], Awaitable[str]]) -> None:
    first, second = await new_database(), await new_database()

    assert first != second
