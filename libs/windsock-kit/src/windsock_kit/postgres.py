"""A PostgreSQL pool that outlives the database's absence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import structlog

from windsock_kit.errors import UnavailableError

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

log = structlog.get_logger(__name__)

# Faults that pass by themselves. A disk that is full is among them (53100 is a class 53 error):
# the client should keep its data and come back.
transient_errors: tuple[type[BaseException], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    # The schema has not been migrated yet; whoever sends data should keep it until it is.
    asyncpg.UndefinedTableError,
    asyncpg.InvalidSchemaNameError,
    # What asyncpg raises when the server's farewell has reached a connection that was not in use.
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)

# asyncpg uses one class for its caller's mistakes and for a connection that has gone: closed, released by
# the time it is used again, or confused because it was cut in the middle of a COPY.
_GONE = ("clos", "released back to the pool", "another operation")
_CONNECT_TIMEOUT = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


@asynccontextmanager
async def open_pool(
    url: str,
    *,
    application_name: str,
    min_size: int,
    max_size: int,
    command_timeout: float = 10.0,
    statement_timeout_ms: int = 10_000,
    init: Callable[[asyncpg.Connection[asyncpg.Record]], Coroutine[Any, Any, None]] | None = None,
    grace: float = 10.0,
) -> AsyncGenerator[asyncpg.Pool[asyncpg.Record]]:
    """Open a pool that does not need the database to be up.

    Connections are made when they are first needed; ``min_size`` of them are tried for in the
    background, again and again until they stand. At the end the pool waits ``grace``
    seconds for what is running and then cuts it. ``init`` runs once per connection.
    """
    # With min_size 0 this makes no connection yet, so it cannot fail.
    pool = await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=max_size,
        timeout=_CONNECT_TIMEOUT,
        command_timeout=command_timeout,
        init=init,
        server_settings={
            "application_name": application_name,
            "statement_timeout": str(statement_timeout_ms),
            "idle_in_transaction_session_timeout": str(statement_timeout_ms),
        },
    )
    warming = asyncio.create_task(_warm(pool, min_size))
    try:
        yield pool
    finally:
        warming.cancel()
        await asyncio.gather(warming, return_exceptions=True)
        await _close(pool, grace)


async def _warm(pool: asyncpg.Pool[asyncpg.Record], size: int) -> None:
    pause = _FIRST_PAUSE
    while True:
        held: list[PoolConnectionProxy[asyncpg.Record]] = []
        try:
            with unavailable("the database does not answer yet"):
                held.extend([await pool.acquire(timeout=_CONNECT_TIMEOUT) for _ in range(size)])
        except UnavailableError:
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)
        else:
            return
        finally:
            for connection in held:
                await pool.release(connection)


async def _close(pool: asyncpg.Pool[asyncpg.Record], grace: float) -> None:
    try:
        async with asyncio.timeout(grace):
            await pool.close()
    except TimeoutError:
        log.warning("pool_terminated", grace_seconds=grace)
        pool.terminate()


@asynccontextmanager
async def impatient(
    pool: asyncpg.Pool[asyncpg.Record],
) -> AsyncGenerator[PoolConnectionProxy[asyncpg.Record]]:
    """Borrow a connection for the block, and cut it if the block is cancelled.

    The pool would first ask the database to stop what it is doing, and wait for its answer: with a slow one, a timeout
    would come to its end long after its time.
    """
    async with pool.acquire() as connection:
        try:
            yield connection
        except asyncio.CancelledError:
            connection.terminate()
            raise


@contextmanager
def unavailable(
    detail: str = "the database is unavailable", *, retry_after: float = 1.0
) -> Generator[None]:
    """Turn a transient fault inside the block into ``UnavailableError``, with a warning logged."""
    try:
        yield
    except transient_errors as error:
        raise _translated(detail, retry_after, error) from error
    except (asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        if not any(sign in str(error) for sign in _GONE):
            raise
        raise _translated(detail, retry_after, error) from error


def _translated(detail: str, retry_after: float, error: BaseException) -> UnavailableError:
    log.warning("database_unavailable", error=type(error).__name__, message=str(error))
    return UnavailableError(detail, retry_after=retry_after)
