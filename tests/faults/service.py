"""metrics-svc as a process that a test may kill, and events that can be told apart in its store."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx

import windsock
from windsock_embedded import ports


class Service:
    """One process of metrics-svc on a port of its own, that stays the same over its lives.

    ``settings`` are further variables of its environment.
    """

    def __init__(self, database_url: str, folder: Path, **settings: str) -> None:
        self.port = ports.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / f"metrics-svc-{self.port}.log"
        self._environment = os.environ | {
            "METRICS_DATABASE_URL": database_url,
            "METRICS_PORT": str(self.port),
            "WINDSOCK_AUTH": "off",
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start the process and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "metrics_svc"],
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        await until(self._live, "metrics-svc answers")

    async def _live(self) -> bool:
        try:
            async with httpx.AsyncClient() as client:
                return (await client.get(f"{self.url}/livez")).is_success
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """End the process as the kernel would."""
        self._end(signal.SIGKILL)

    def terminate(self) -> int:
        """Ask the process to end and return its exit status."""
        return self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Stop the process where it is: its connections stand, and nothing answers. Only ``kill`` ends that."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        process, self._process = self._process, None
        process.send_signal(number)
        return process.wait(timeout=30)

    async def total(self) -> int:
        """Return how many performance events the service tells of."""
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{self.url}/api/metrics/performance")
            count: int = answer.raise_for_status().json()["all_operations"]["count"]
            return count


def collector(url: str) -> windsock.MetricsCollector:
    """Give a collector of the SDK with small batches, so that some are always under way."""
    settings: dict[str, object] = {
        "endpoint": url,
        "flush_interval_seconds": 0.01,
        "max_batch_events": 20,
        "max_buffer_events": 100_000,
        "timeout_seconds": 5.0,
    }
    return windsock.MetricsCollector(windsock.Settings().changed(settings))


def record(into: windsock.MetricsCollector, numbers: range) -> None:
    """Record an event for each number, by which the store can be asked for it."""
    for number in numbers:
        into.record_performance("load", number % 97, attributes={"number": number})


async def delivered(sender: windsock.MetricsCollector) -> None:
    """Wait until the service has answered for all that was recorded."""
    assert await asyncio.to_thread(sender.flush, 40), sender.stats()
    stats = sender.stats()
    assert not stats.dropped, stats


async def numbers(connection: asyncpg.Connection[Any]) -> list[int]:
    """Return the numbers of the stored events in order, as often as they are stored."""
    rows = await connection.fetch(
        "SELECT (attributes ->> 'number')::int AS number FROM metrics.performance ORDER BY number"
    )
    return [row["number"] for row in rows]


async def stored(connection: asyncpg.Connection[Any], at_least: int) -> None:
    """Wait until so many events are stored."""

    async def enough() -> bool:
        return bool(
            await connection.fetchval("SELECT count(*) FROM metrics.performance") >= at_least
        )

    await until(enough, f"{at_least} events are stored")


async def until(true: Callable[[], Awaitable[bool]], what: str, *, seconds: float = 30.0) -> None:
    """Wait until something holds; fails by name when it does not in time."""
    deadline = time.monotonic() + seconds
    while not await true():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(0.02)
