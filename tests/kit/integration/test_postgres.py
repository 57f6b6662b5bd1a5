import asyncio
from collections.abc import AsyncGenerator

import asyncpg
import pytest
import pytest_asyncio

from tests.fixtures.servers import RunningPostgres
from windsock_kit.errors import UnavailableError
from windsock_kit.postgres import open_pool, unavailable

Pool = asyncpg.Pool


@pytest_asyncio.fixture(scope="module")
async def pool(database_url: str) -> AsyncGenerator[Pool]:
    async with open_pool(
        database_url, application_name="kit-test", min_size=1, max_size=4, statement_timeout_ms=300
    ) as pool:
        yield pool


async def answers(pool: Pool) -> None:
    """Wait until the database answers through ``pool``."""
    async with asyncio.timeout(20):
        while True:
            try:
                with unavailable():
                    await pool.fetchval("SELECT 1")
            except UnavailableError:
                await asyncio.sleep(0.01)
            else:
                return


async def test_sessions_carry_name_and_timeouts(pool: Pool) -> None:
    assert await pool.fetchval("SHOW application_name") == "kit-test"
    assert await pool.fetchval("SHOW statement_timeout") == "300ms"
    assert await pool.fetchval("SHOW idle_in_transaction_session_timeout") == "300ms"


async def test_every_connection_is_prepared_once(database_url: str) -> None:
    prepared: list[int] = []

    async def init(connection: asyncpg.Connection) -> None:
        prepared.append(connection.get_server_pid())

    async with open_pool(
        database_url, application_name="kit-test", min_size=0, max_size=1, init=init
    ) as pool:
        pids = {await pool.fetchval("SELECT pg_backend_pid()") for _ in range(3)}

    assert prepared == list(pids)


async def test_idle_connections_are_made_ahead(database_url: str) -> None:
    async with open_pool(database_url, application_name="kit-test", min_size=3, max_size=5) as pool:
        async with asyncio.timeout(10):
            while pool.get_idle_size() < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.001)


async def test_statement_that_takes_too_long_is_a_transient_fault(pool: Pool) -> None:
    with pytest.raises(UnavailableError) as caught, unavailable():
        await pool.execute("SELECT pg_sleep(5)")

    assert caught.value.retry_after == 1


async def test_lock_that_is_not_given_is_a_transient_fault(pool: Pool) -> None:
    async with pool.acquire() as holder, pool.acquire() as waiter, holder.transaction():
        await holder.execute("SELECT pg_advisory_xact_lock(17)")
        await waiter.execute("SET lock_timeout = '20ms'")

        with pytest.raises(UnavailableError, match="store is busy"), unavailable("store is busy"):
            await waiter.execute("SELECT pg_advisory_lock(17)")


async def test_session_that_is_ended_is_a_transient_fault_and_replaced(pool: Pool) -> None:
    async def end_own_session() -> None:
        async with pool.acquire() as own, own.transaction():
            await own.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(UnavailableError), unavailable():
        await end_own_session()

    assert await pool.fetchval("SELECT 1") == 1


async def test_mistake_in_a_statement_is_not_hidden(pool: Pool) -> None:
    with pytest.raises(asyncpg.UndefinedColumnError), unavailable():
        await pool.execute("SELECT no_such_column")


async def test_mistake_in_calling_is_not_hidden(pool: Pool) -> None:
    with pytest.raises(asyncpg.InterfaceError, match="expects 1 argument"), unavailable():
        await pool.fetchval("SELECT $1::int")


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InterfaceError(
            "cannot call Connection.fetch(): connection has been released back to the pool"
        ),
        asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
        asyncpg.InternalClientError(
            "cannot switch to state 21; another operation (2) is in progress"
        ),
    ],
    ids=["idle", "reset", "copy"],
)
def test_connection_that_was_cut_is_unavailable_however_asyncpg_says_so(error: Exception) -> None:
    with pytest.raises(UnavailableError), unavailable():
        raise error


async def test_pool_opens_without_a_database_and_finds_it_later(
    own_postgres: RunningPostgres,
) -> None:
    url = own_postgres.server.url("postgres")
    own_postgres.stop()

    async with open_pool(url, application_name="kit-test", min_size=1, max_size=2) as pool:
        with pytest.raises(UnavailableError), unavailable():
            await pool.execute("SELECT 1")

        await own_postgres.start()
        await answers(pool)

        own_postgres.kill()
        with pytest.raises(UnavailableError), unavailable():
            await pool.execute("SELECT 1")

        await own_postgres.start()
        await answers(pool)


async def test_closing_does_not_wait_for_a_database_that_is_away() -> None:
    async with asyncio.timeout(5):
        async with open_pool(
            "postgresql://a:b@127.0.0.1:1/x", application_name="kit-test", min_size=2, max_size=2
        ):
            pass


async def test_statement_that_outlives_the_grace_is_cut(database_url: str) -> None:
    async def sleep(pool: Pool) -> None:
        with unavailable():
            await pool.execute("SELECT pg_sleep(60)")

    async with (
        asyncio.timeout(10),
        open_pool(
            database_url, application_name="kit-test", min_size=0, max_size=2, grace=0.05
        ) as pool,
    ):
        sleeping = asyncio.create_task(sleep(pool))
        # While this is answered on another connection, the statement starts.
        await pool.fetchval("SELECT 1")

    with pytest.raises(UnavailableError):
        await sleeping
