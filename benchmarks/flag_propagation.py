"""How soon a change of a flag is in force everywhere: four flags-svc processes, twenty applications, a thousand streams.

``applications``: the API of one process (each in turn) takes a change; counted is from its answer until every process evaluates
the new value over OFREP and every application does so with the SDK. In the second half Redis is killed, stays away for a while,
and comes back. ``streams``: the same until each of a thousand open event streams has the change; none may miss any.
``unleash``: from the answer of its API until a client that asks again at once has the change.

Everything runs on one machine. Run ``./task bench -- flag_propagation``; Node and npm have to be there for Unleash.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks import flag_unleash, harness
from benchmarks.processes import Process
from tests.fixtures.servers import RunningPostgres, running_redis, server_folder
from windsock_embedded import ports, postgres

FLAG = "generation"
ENVIRONMENT = "production"
SERVICES = 4
# Longer than any change should ever take; then it counts as lost.
LOST_SECONDS = 30.0


@dataclass
class Watcher:
    """Somebody who evaluates the flag; knows when it first saw each value, on the monotonic clock."""

    name: str
    seen: dict[int, float] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def saw(self, value: int, at: float) -> None:
        """Take note of a value."""
        self.seen.setdefault(value, at)
        self.news.set()

    async def until(self, value: int) -> float:
        """Return when it saw the value."""
        async with asyncio.timeout(LOST_SECONDS):
            while value not in self.seen:
                self.news.clear()
                await self.news.wait()
        return self.seen[value]


class Api:
    """The management API of the processes, and their evaluation."""

    def __init__(self, session: aiohttp.ClientSession, addresses: Sequence[str]) -> None:
        self._session = session
        self.addresses = addresses

    async def create(self) -> None:
        """Create the flag, with 0 as its value for everybody."""
        flag = {
            "key": FLAG,
            "type": "integer",
            "variants": {"now": 0, "off": -1},
            "default_variant": "now",
            "off_variant": "off",
            "environments": {ENVIRONMENT: {"enabled": True}},
        }
        await self._send("POST", f"{self.addresses[0]}/api/feature-flags", flag)

    async def change(self, value: int) -> float:
        """Give the flag a value; return when that was answered."""
        address = self.addresses[value % len(self.addresses)]
        patch = {"variants": {"now": value}}
        await self._send("PATCH", f"{address}/api/feature-flags/{FLAG}", patch)
        return time.monotonic()

    async def _send(self, method: str, url: str, body: object) -> None:
        async with self._session.request(method, url, json=body) as answer:
            if answer.status >= 300:
                sys.exit(f"flags-svc answered {answer.status}: {await answer.text()}")

    async def watch(self, address: str, watcher: Watcher, value: int) -> None:
        """Ask one process until it evaluates ``value``."""
        url = f"{address}/ofrep/v1/evaluate/flags/{FLAG}"
        while value not in watcher.seen:
            async with self._session.post(url, json={"context": {}}) as answer:
                found = (await answer.json()).get("value")
            watcher.saw(found, time.monotonic())
            if found != value:
                await asyncio.sleep(0.002)


def application(endpoint: str) -> None:
    """Be an application: print each value of the flag with when it was evaluated, as soon as flags have changed."""
    import windsock  # noqa: PLC0415  # Only the child needs it.

    windsock.configure(endpoint=endpoint, flags_source="service", record_exposures=False)
    flags = windsock.get_feature_flags()

    def tell(_: object = None) -> None:
        value = flags.value(FLAG, default=-2)
        # In one write: the thread that brings flags and this one may both have something to tell.
        os.write(1, f"{json.dumps([value, time.monotonic()])}\n".encode())

    flags.subscribe(tell)
    if not flags.ready(30):
        sys.exit("no flags within 30 seconds")
    tell()
    sys.stdin.read()
    windsock.close()


@asynccontextmanager
async def running_application(endpoint: str, number: int) -> AsyncGenerator[Watcher]:
    """Run one application for the life of the block."""
    watcher = Watcher(f"application {number}")
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.flag_propagation", "--application", endpoint),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "WINDSOCK_ENVIRONMENT": ENVIRONMENT},
    )

    async def read() -> None:
        assert child.stdout is not None
        async for line in child.stdout:
            value, at = json.loads(line)
            watcher.saw(value, at)

    reading = asyncio.create_task(read())
    try:
        yield watcher
    finally:
        assert child.stdin is not None
        child.stdin.close()
        await child.wait()
        await reading


@asynccontextmanager
async def stream(address: str, number: int) -> AsyncGenerator[Watcher]:
    """Read one event stream for the life of the block; a change that does not follow on the one before ends the benchmark."""
    watcher = Watcher(f"stream {number}")
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=2**24)
    path = f"/api/feature-flags/stream?environment={ENVIRONMENT}"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")

    async def read() -> None:
        revision = None
        while line := await reader.readline():
            if not line.startswith(b"data:"):
                continue
            at, event = time.monotonic(), json.loads(line[5:])
            if "previous" in event and event["previous"] != revision:
                sys.exit(f"{watcher.name} had {revision}, then came {event['previous']}")
            revision = event["revision"]
            for flag in event.get("flags", ()):
                if flag["key"] == FLAG:
                    watcher.saw(flag["variants"]["now"], at)

    reading = asyncio.create_task(read())
    try:
        yield watcher
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        writer.close()


def service(database_url: str, redis_url: str) -> Process:
    """Return one flags-svc, not yet started."""
    port = ports.free_port()
    environment = {
        "FLAGS_DATABASE_URL": database_url,
        "FLAGS_REDIS_URL": redis_url,
        "FLAGS_PORT": str(port),
        "FLAGS_LOG_LEVEL": "error",
        "WINDSOCK_AUTH": "off",
    }
    command = [sys.executable, "-m", "flags_svc"]
    return Process("flags-svc", command, port, "/readyz", environment)


class Redis:
    """A Redis on one port that can be taken away."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = ports.free_port()
        self._stack = AsyncExitStack()
        self.url = ""

    def start(self) -> None:
        self.url = self._stack.enter_context(running_redis(self._folder, port=self._port))

    async def stop(self) -> None:
        await self._stack.aclose()


async def applications(api: Api, redis: Redis, given: argparse.Namespace) -> dict[str, Any]:
    """Change the flag again and again; return how long until everybody evaluates each value."""
    everywhere: list[float] = []
    each: list[float] = []
    away = range(given.changes // 2, given.changes // 2 + given.changes // 10)
    processes = [Watcher(address) for address in api.addresses]
    while_away: list[float] = []
    async with AsyncExitStack() as stack:
        harness.progress(f"starting {given.applications} applications")
        watchers = [
            await stack.enter_async_context(
                running_application(api.addresses[number % SERVICES], number)
            )
            for number in range(given.applications)
        ]
        await asyncio.gather(*(watcher.until(0) for watcher in watchers))
        for value in range(1, given.changes + 1):
            if value == away.start:
                await redis.stop()
            if value == away.stop:
                redis.start()
            answered = await api.change(value)
            asking = [api.watch(watcher.name, watcher, value) for watcher in processes]
            await asyncio.gather(*asking, *(watcher.until(value) for watcher in watchers))
            times = [
                max(0.0, watcher.seen[value] - answered) * 1000
                for watcher in [*watchers, *processes]
            ]
            (while_away if value in away else everywhere).append(max(times))
            each += times
            if value % 50 == 0:
                harness.progress(f"{value} of {given.changes} changes: last {max(times):.1f} ms")
            await asyncio.sleep(0.02)
    return {
        "changes": given.changes,
        "services": SERVICES,
        "applications": given.applications,
        "everywhere_ms": harness.percentiles(everywhere),
        "everywhere_without_redis_ms": harness.percentiles(while_away),
        "each_ms": harness.percentiles(each),
    }


async def streams(api: Api, given: argparse.Namespace, first: int) -> dict[str, Any]:
    """Return how long until every one of many streams has a change."""
    everywhere: list[float] = []
    each: list[float] = []
    async with AsyncExitStack() as stack:
        harness.progress(f"opening {given.streams} streams")
        watchers = [
            await stack.enter_async_context(stream(api.addresses[0], number))
            for number in range(given.streams)
        ]
        await asyncio.gather(*(watcher.until(first - 1) for watcher in watchers))
        for value in range(first, first + given.stream_changes):
            answered = await api.change(value)
            await asyncio.gather(*(watcher.until(value) for watcher in watchers))
            times = [max(0.0, watcher.seen[value] - answered) * 1000 for watcher in watchers]
            everywhere.append(max(times))
            each += times
            await asyncio.sleep(0.1)
    return {
        "changes": given.stream_changes,
        "streams_of_one_process": given.streams,
        "everywhere_ms": harness.percentiles(everywhere),
        "each_ms": harness.percentiles(each),
    }


async def polled(database_url: str, changes: int) -> dict[str, Any]:
    """Return how long until Unleash shows a change to a client that asks all the time."""
    times = []
    async with flag_unleash.unleash(database_url) as unleash:
        await unleash.create(FLAG)
        for number in range(changes):
            on = number % 2 == 1
            await unleash.switch(FLAG, on=on)
            answered = time.monotonic()
            while True:
                body, _ = await unleash.get("/api/client/features", flag_unleash.BACKEND)
                found = next(each for each in body["features"] if each["name"] == FLAG)
                if found["enabled"] == on:
                    break
                await asyncio.sleep(0.005)
            times.append(1000 * (time.monotonic() - answered))
    return {"changes": changes, "poller_ms": harness.percentiles(times)}


async def run(given: argparse.Namespace) -> None:
    result: dict[str, Any] = {}
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(server_folder())
        place = stack.enter_context(tempfile.TemporaryDirectory())
        server = RunningPostgres(folder)
        await server.start()
        stack.callback(server.stop)
        redis = Redis(Path(place))
        redis.start()
        stack.push_async_callback(redis.stop)
        database = await server.new_flags_database("flags")
        services = [service(database, redis.url) for _ in range(SERVICES)]
        for each in services:
            stack.callback(each.stop)
            await each.start()
        session = await stack.enter_async_context(aiohttp.ClientSession())
        api = Api(session, [f"http://127.0.0.1:{each.port}" for each in services])
        await api.create()
        result["applications"] = await applications(api, redis, given)
        result["streams"] = await streams(api, given, given.changes + 1)
        for each in services:
            each.stop()
        await postgres.ensure_database(server.server, "unleash")
        result["unleash"] = await polled(server.server.url("unleash"), given.unleash_changes)
    harness.report(result)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--changes", type=int, default=500)
    parser.add_argument("--applications", type=int, default=20)
    parser.add_argument("--streams", type=int, default=1_000)
    parser.add_argument("--stream-changes", type=int, default=100)
    parser.add_argument("--unleash-changes", type=int, default=40)
    parser.add_argument("--application", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.application:
        application(given.application)
    else:
        asyncio.run(run(given))


if __name__ == "__main__":
    main()
