"""A suite under test: services, applications, and people who change flags all the time, with a record of it all."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import asyncpg
import httpx
import orjson
import pytest

from tests.faults.flags.checker import check
from tests.faults.flags.processes import Application, FlagsService
from tests.faults.flags.record import Attempt, Away, Failed, Quiet, Record, Seen, Stored
from tests.faults.service import until

EVALUATE = "/ofrep/v1/evaluate/flags"
FLAGS = "/api/feature-flags"
ASK_SECONDS = 0.05
WRITE_SECONDS = 0.05
# Longer than anything may take the service that it is asked for.
PATIENCE_SECONDS = 20.0
# An evaluation needs nothing that could make it wait but a machine with much else to do.
ANSWER_SECONDS = 10.0
# Within which everybody has the newest value, if they were connected, and if they have to connect again: less than
# the silence after which all is tried anew, and much more than a good machine takes.
CONNECTED_SECONDS = 12.0
RECONNECTED_SECONDS = 25.0
ACTOR = {"X-Windsock-Actor": "faults"}


class Suite:
    """Services and applications by name, and flags that count."""

    def __init__(self, folder: Path, database_url: str, flags: Iterable[str] = ("a", "b")) -> None:
        self.folder = folder
        self.database_url = database_url
        self.flags = [f"number-{flag}" for flag in flags]
        self.record = Record()
        self.services: dict[str, FlagsService] = {}
        self.applications: dict[str, Application] = {}
        self._numbers: Counter[str] = Counter()
        self._stopping = asyncio.Event()
        self._going_back = False
        self._client = httpx.AsyncClient(verify=False, timeout=PATIENCE_SECONDS)

    def service(self, name: str, *, database_url: str = "", **settings: str) -> FlagsService:
        """Make a service; it ends with the suite."""
        url = database_url or self.database_url
        self.services[name] = FlagsService(name, self.folder, url, **settings)
        return self.services[name]

    def application(self, name: str, **settings: str) -> Application:
        """Make an application; it ends with the suite."""
        self.applications[name] = Application(name, self.folder, self.flags, **settings)
        return self.applications[name]

    async def found(self, service: FlagsService) -> None:
        """Make the flags, with their first numbers."""
        for flag in self.flags:
            number = self._next(flag)
            document = {
                "key": flag,
                "type": "integer",
                "variants": {"now": number},
                "default_variant": "now",
                "off_variant": "now",
                "environments": {
                    "production": {"enabled": True, "fallthrough": {"variant": "now"}}
                },
            }
            assert (await self._try(service, flag, number, "POST", FLAGS, document)).status == 201

    async def change(self, service: FlagsService, flag: str) -> Attempt:
        """Ask for a flag to become its next number; it may be refused."""
        number = self._next(flag)
        change = {"variants": {"now": number}}
        return await self._try(service, flag, number, "PATCH", f"{FLAGS}/{flag}", change)

    @property
    def numbers(self) -> dict[str, int]:
        """Return the number that each flag was last asked to become."""
        return dict(self._numbers)

    @contextmanager
    def going_back(self) -> Generator[None]:
        """Let services go back for the block: what they answer does not say of which epoch it is."""
        self._going_back = True
        try:
            yield
        finally:
            self._going_back = False

    async def until_writable(self, service: FlagsService) -> None:
        """Wait until a service takes changes again."""

        async def taken() -> bool:
            return (await self.change(service, self.flags[0])).status == 200

        await until(taken, f"{service.name} takes changes")

    async def value_of(self, service: FlagsService, flag: str, number: int) -> None:
        """Wait until a service gives a flag this number."""

        async def given() -> bool:
            answer = await service.call("POST", f"{EVALUATE}/{flag}", {"context": {}})
            return bool(answer["value"] == number)

        await until(given, f"{service.name} gives {number} for {flag}")

    def _next(self, flag: str) -> int:
        self._numbers[flag] += 1
        return self._numbers[flag]

    async def _try(
        self, service: FlagsService, flag: str, number: int, method: str, path: str, body: object
    ) -> Attempt:
        began = time.monotonic()
        status, revision, retry_after = 0, 0, None
        with suppress(httpx.TransportError):
            content = orjson.dumps(body)
            answer = await self._client.request(
                method, f"{service.url}{path}", content=content, headers=ACTOR
            )
            status, retry_after = answer.status_code, answer.headers.get("retry-after")
            revision = answer.json()["revision"] if answer.is_success else 0
        made = Attempt(flag, number, began, time.monotonic(), status, revision, retry_after)
        self.record.attempts.append(made)
        return made

    @contextmanager
    def away(self, what: str, *, silent: bool = False) -> Generator[None]:
        """Take note that something is away for the block: a service by its name, or the database."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.record.away.append(Away(what, began, time.monotonic(), silent))

    @asynccontextmanager
    async def changing(self) -> AsyncGenerator[None]:
        """Have every flag changed all the time for the block, by any service in turn, and services asked for them."""
        self._stopping = asyncio.Event()
        jobs = [self._write(flag, turn) for turn, flag in enumerate(self.flags)]
        tasks = [asyncio.create_task(job) for job in jobs]
        try:
            yield
        finally:
            self._stopping.set()
            await asyncio.gather(*tasks)

    async def _write(self, flag: str, turn: int) -> None:
        while not self._stopping.is_set():
            services = list(self.services.values())
            await self.change(services[turn % len(services)], flag)
            turn += 1
            await asyncio.sleep(WRITE_SECONDS)

    @asynccontextmanager
    async def asking(self) -> AsyncGenerator[None]:
        """Have every service asked for the flags all the time for the block."""
        tasks = [asyncio.create_task(self._ask(each)) for each in self.services.values()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends

    async def _ask(self, service: FlagsService) -> None:
        async with httpx.AsyncClient(verify=False, timeout=ANSWER_SECONDS) as client:
            while True:
                await self._ask_once(client, service)
                await asyncio.sleep(ASK_SECONDS)

    async def _ask_once(self, client: httpx.AsyncClient, service: FlagsService) -> None:
        began = time.monotonic()
        # Each answer for itself.
        life = -len(self.record.seen) if self._going_back else service.life
        try:
            answer = await client.post(f"{service.url}{EVALUATE}", content=b'{"context":{}}')
        except httpx.TransportError as error:
            failed = Failed(service.name, time.monotonic(), repr(error), 0, began)
            self.record.failed.append(failed)
            return
        if answer.status_code != 200:
            what = f"HTTP {answer.status_code} {answer.text[:200]}"
            self.record.failed.append(Failed(service.name, began, what, answer.status_code))
            return
        values = {flag["key"]: flag.get("value") for flag in answer.json()["flags"]}
        counted = {flag: values[flag] for flag in self.flags if flag in values}
        self.record.seen.append(Seen(service.name, life, time.monotonic(), counted))

    async def settled(self, within: float = CONNECTED_SECONDS, *names: str) -> None:
        """Change everything once more, now that all is well, and demand that everybody has it in time."""
        for flag in self.flags:
            made = await self.change(next(iter(self.services.values())), flag)
            assert made.status == 200, made
        everybody = (*self.services, *self.applications)
        quiet = Quiet(time.monotonic(), within, dict(self._numbers), names or everybody)
        self.record.quiet.append(quiet)
        with suppress(AssertionError):
            await until(lambda: self._is_quiet(quiet), "everybody has it", seconds=within)

    async def _is_quiet(self, quiet: Quiet) -> bool:
        last = {each.observer: (each.at, each.values) for each in self.record.seen}
        for name, application in self.applications.items():
            line = application.last()
            last[name] = line.get("at", 0.0), line.get("values", {})
        found = [last.get(name, (0.0, {})) for name in quiet.observers]
        return all(at >= quiet.at and values == quiet.values for at, values in found)

    async def remember(self) -> str:
        """Take the history as it is in the database into the record, and return its epoch."""
        connection = await asyncpg.connect(self.database_url)
        try:
            epoch: str = await connection.fetchval("SELECT epoch FROM flags.head")
            rows = await connection.fetch(_HISTORY)
            head = await connection.fetchval("SELECT revision FROM flags.head")
        finally:
            await connection.close()
        assert head == len(rows)
        self.record.history[epoch] = [self._stored(row) for row in rows]
        return epoch

    def _stored(self, row: asyncpg.Record) -> Stored:
        number = None
        if row["key"] in self.flags and row["content"] is not None:
            number = orjson.loads(row["content"])["variants"]["now"]
        return Stored(row["revision"], row["key"], number)

    async def check(self) -> None:
        """Hold everything against the promises."""
        await self.remember()
        for name, application in self.applications.items():
            for line in application.lines():
                if "raised" in line:
                    self.record.failed.append(Failed(name, line["at"], line["raised"]))
                    continue
                place = line["epoch"], line["revision"]
                self.record.seen.append(
                    Seen(name, line["life"], line["at"], line["values"], *place)
                )
        # That it met what it is there for.
        assert sum(made.status == 200 for made in self.record.attempts) > 10
        assert {each.observer for each in self.record.seen} == {*self.services, *self.applications}
        if problems := check(self.record):
            logs = [f"{each.log}" for each in self.services.values()]
            pytest.fail("\n".join([*problems[:40], f"{len(problems)} in all", *logs]))

    async def close(self) -> None:
        """End all of it."""
        await self._client.aclose()
        for process in (*self.applications.values(), *self.services.values()):
            process.kill()


_HISTORY = "SELECT revision, key, content FROM flags.changes ORDER BY revision"


@asynccontextmanager
async def suite(folder: Path, database_url: str) -> AsyncGenerator[Suite]:
    """Give an empty suite; all that was made of it ends with the block."""
    async with AsyncExitStack() as stack:
        made = Suite(folder, database_url)
        stack.push_async_callback(made.close)
        yield made
