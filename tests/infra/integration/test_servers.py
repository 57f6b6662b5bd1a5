from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from tests.fixtures.servers import RunningPostgres
from windsock_embedded import migrations
from windsock_embedded.errors import EmbeddedError


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


async def test_a_broken_migration_is_told_with_its_reason(
    running_postgres: RunningPostgres, tmp_path: Path
) -> None:
    url = await running_postgres.new_database("broken")
    (tmp_path / "99990101_create_things.sql").write_text(
        "-- migrate:up\nCREATE TABLE metrics.a (b c);\n-- migrate:down\n"
    )

    with pytest.raises(
        EmbeddedError, match=r'migration of metrics failed: .*type "c" does not exist'
    ):
        await migrations.migrate(
            url, schema="metrics", folder=tmp_path, environment={"PATH": os.defpath}
        )


async def test_two_runs_of_the_migrations_at_once_apply_each_once(
    running_postgres: RunningPostgres, tmp_path: Path
) -> None:
    url = await running_postgres.new_database("twice")
    (tmp_path / "99990101_create_things.sql").write_text(
        "-- migrate:up\nCREATE TABLE metrics.things (a int); SELECT pg_sleep(0.2);\n-- migrate:down\n"
    )

    applied = await asyncio.gather(
        *(
            migrations.migrate(
                url, schema="metrics", folder=tmp_path, environment={"PATH": os.defpath}
            )
            for _ in range(3)
        )
    )

    assert sorted(applied) == [[], [], ["99990101_create_things.sql"]]
