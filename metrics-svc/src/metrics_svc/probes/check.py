"""How a target of each kind is checked: a new connection and the least that proves it works."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from urllib.parse import urlsplit

import aiohttp
import asyncpg
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from metrics_svc.domain.health import ProbeResult
from metrics_svc.probes.target import Target

_MAX_DETAIL = 200
_CLOSE_SECONDS = 0.5


class _NotUpError(Exception):
    """The target answers, but says that it is not well."""


# ValueError: a client library does not like the address after all (an asyncpg option, say).
_FAULTS = (
    OSError,
    ValueError,
    EOFError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    aiohttp.ClientError,
    RedisError,
    _NotUpError,
)


async def check(target: Target, *, seconds: float, now: Callable[[], datetime]) -> ProbeResult:
    """Check ``target`` once and return what came of it; takes little longer than ``seconds``.

    The latency is that of the whole check: connection, authentication and answer.
    """
    started = time.perf_counter()
    detail = None
    try:
        async with asyncio.timeout(seconds):
            await _CHECKS[target.kind](target)
    except TimeoutError:
        detail = f"no answer within {seconds:g} s"
    except _FAULTS as error:
        detail = _told(error, target)
    latency = round((time.perf_counter() - started) * 1e3, 3)
    if detail is not None:
        return ProbeResult(target.name, target.kind, "down", None, now(), detail)
    return ProbeResult(target.name, target.kind, "up", latency, now())


def _told(error: Exception, target: Target) -> str:
    """Return what went wrong in one line, without anything secret of the address."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if isinstance(error, aiohttp.ClientConnectorError):
        reason = error.os_error.strerror or str(error.os_error)
    text = " ".join(f"{type(error).__name__.lstrip('_')}: {reason}".split())
    if isinstance(error, _NotUpError):
        text = reason
    for secret in target.secrets():
        text = text.replace(secret, "***")
    return text[:_MAX_DETAIL]


async def _postgresql(target: Target) -> None:
    connection = await asyncpg.connect(target.url)
    try:
        await connection.fetchval("SELECT 1")
        await connection.close(timeout=_CLOSE_SECONDS)
    finally:
        connection.terminate()


async def _redis(target: Target) -> None:
    client = Redis.from_url(target.url, retry=Retry(NoBackoff(), 0))
    try:
        await client.ping()
    finally:
        # A TLS connection may wait long for the other side's farewell.
        async with asyncio.timeout(_CLOSE_SECONDS):
            await client.aclose()


async def _http(target: Target) -> None:
    status = await _get(target.url)
    if status >= 400:
        raise _NotUpError(f"answered {status}")


async def _qdrant(target: Target) -> None:
    """Ask whether it is ready; versions before 1.5 only know whether they live."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    base = f"http://{host}:{target.port}{urlsplit(target.url).path.rstrip('/')}"
    status = await _get(f"{base}/readyz")
    if status == 404:
        status = await _get(f"{base}/healthz")
    if status != 200:
        raise _NotUpError(f"answered {status}")


async def _get(url: str) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, allow_redirects=False) as response,
    ):
        return response.status


async def _tcp(target: Target) -> None:
    _, writer = await asyncio.open_connection(target.host, target.port)
    # Nothing was said, so there is nothing to wait for.
    writer.transport.abort()


_CHECKS: Mapping[str, Callable[[Target], Awaitable[None]]] = {
    "postgresql": _postgresql,
    "redis": _redis,
    "http": _http,
    "qdrant": _qdrant,
    "tcp": _tcp,
}
