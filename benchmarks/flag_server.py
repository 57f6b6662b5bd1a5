"""How many evaluations a second one server process answers: flags-svc over OFREP beside unleash-server over its frontend API.

``single`` is a server that has one flag, and a client that asks for it. ``bulk`` asks for all of 100 flags; each has two
conditions and gives half of the users another variant. ``not_modified`` asks again with the entity tag of the answer before:
flags-svc for the evaluations, Unleash for its definitions, which is what its own clients poll.

Both run on the same PostgreSQL as one process, and take turns in rounds; the client writes prepared requests over kept
connections and is itself a process. Run ``./task bench -- flag_server``; Node and npm have to be there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from benchmarks import flag_unleash, harness
from benchmarks.processes import Process
from tests.fixtures.servers import RunningPostgres, server_folder
from windsock_embedded import ports, postgres

CONNECTIONS = 16
FLAGS = 100
ENVIRONMENT = "production"
CONTEXT = {"targetingKey": "user-1", "country": "SE", "plan": "pro"}
QUERY = "userId=user-1&properties%5Bcountry%5D=SE&properties%5Bplan%5D=pro"
BOTH = {
    "all": [
        {"attribute": "country", "operator": "equals", "value": "SE"},
        {"attribute": "plan", "operator": "in", "values": ["pro", "team"]},
    ]
}


@dataclass(frozen=True, slots=True)
class Question:
    """A request, ready to be written, to a server, and the status that answers it."""

    port: int
    data: bytes
    status: int = 200


@dataclass(frozen=True, slots=True)
class Windsock:
    """A running flags-svc."""

    process: Process
    session: aiohttp.ClientSession

    async def create(self, name: str) -> None:
        """Create a flag that is on for half of the users with two conditions."""
        split = {"split": {"on": 50, "off": 50}}
        place = {
            "enabled": True,
            "rules": [{"when": BOTH, "serve": split}],
            "fallthrough": {"variant": "off"},
        }
        flag = {
            "key": name,
            "type": "boolean",
            "variants": {"on": True, "off": False},
            "default_variant": "on",
            "off_variant": "off",
            "environments": {ENVIRONMENT: place},
        }
        url = f"http://127.0.0.1:{self.process.port}/api/feature-flags"
        async with self.session.post(url, json=flag) as answer:
            if answer.status != 201:
                sys.exit(f"flags-svc answered {answer.status}: {await answer.text()}")

    async def clear(self) -> None:
        """Delete what is there from the first start."""
        url = f"http://127.0.0.1:{self.process.port}/api/feature-flags"
        async with self.session.get(url) as answer:
            keys = [flag["key"] for flag in (await answer.json())["flags"]]
        for key in keys:
            async with self.session.delete(f"{url}/{key}") as answer:
                if answer.status not in {200, 204}:
                    sys.exit(f"flags-svc answered {answer.status}: {await answer.text()}")


@asynccontextmanager
async def windsock(database_url: str) -> AsyncGenerator[Windsock]:
    """Run one flags-svc without Redis, which answers nothing here."""
    port = ports.free_port()
    environment = {
        "FLAGS_DATABASE_URL": database_url,
        "FLAGS_PORT": str(port),
        "FLAGS_REDIS_URL": "",
        "FLAGS_LOG_LEVEL": "warning",
        "WINDSOCK_AUTH": "off",
    }
    process = Process(
        "flags-svc", [sys.executable, "-m", "flags_svc"], port, "/readyz", environment
    )
    try:
        await process.start()
        async with aiohttp.ClientSession() as session:
            yield Windsock(process, session)
    finally:
        process.stop()


def evaluation(port: int, path: str, tag: str = "") -> Question:
    """Return a question of OFREP."""
    body = json.dumps({"context": CONTEXT}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    known = f"If-None-Match: {tag}\r\n" if tag else ""
    data = f"{head}{known}Content-Length: {len(body)}\r\n\r\n".encode() + body
    return Question(port, data, 304 if tag else 200)


def asking(port: int, path: str, token: str, tag: str = "") -> Question:
    """Return a question to Unleash."""
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: {token}\r\n"
    known = f"If-None-Match: {tag}\r\n" if tag else ""
    return Question(port, f"{head}{known}\r\n".encode(), 304 if tag else 200)


async def answered(question: Question, seconds: float) -> dict[str, float]:
    """Ask over all connections for so long; return answers per second and milliseconds per answer."""
    times: list[float] = []
    ends = time.perf_counter() + seconds

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", question.port, limit=2**22)
        while (began := time.perf_counter()) < ends:
            writer.write(question.data)
            if (status := await read_answer(reader)) != question.status:
                sys.exit(f"answered {status} instead of {question.status}")
            times.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    took = time.perf_counter() - began
    shown = harness.percentiles([1000 * each for each in times])
    return {"per_second": round(len(times) / took), "p99_ms": shown["p99"]}


async def read_answer(reader: asyncio.StreamReader) -> int:
    """Read one answer, with a length or in chunks, and return its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head.split(b" ", 2)[1])
    if b"transfer-encoding: chunked" in head:
        while (size := int(await reader.readline(), 16)) > 0:
            await reader.readexactly(size + 2)
        await reader.readline()
    elif status != 304:
        length = int(head.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
        await reader.readexactly(length)
    return status


async def first_tag(question: Question) -> str:
    """Return the entity tag of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", question.port, limit=2**22)
    writer.write(question.data)
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    writer.close()
    found = next(line for line in head.split("\r\n") if line.lower().startswith("etag: "))
    return found.partition(": ")[2]


async def measure(
    questions: Mapping[str, Question], rounds: int, seconds: float
) -> dict[str, dict[str, float]]:
    """Ask each question in turn, round after round; return the medians."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in questions}
    for turn in range(rounds + 1):
        for name, question in questions.items():
            one = await answered(question, seconds)
            harness.progress(f"round {turn}: {name} {one}")
            # The first is for caches and compilers to warm up.
            if turn:
                found[name].append(one)
    return {
        name: {
            key: statistics.median(each[key] for each in all_of) for key in ("per_second", "p99_ms")
        }
        for name, all_of in found.items()
    }


async def compare(ours: Windsock, theirs: flag_unleash.Unleash, given: argparse.Namespace) -> Any:
    """Return what both reach."""
    port, other = ours.process.port, theirs.port
    frontend = f"/api/frontend?{QUERY}"
    await ours.clear()
    await ours.create("flag-0")
    await theirs.create("flag-0")
    await until_known(theirs, frontend, 0)
    one = {
        "windsock": evaluation(port, "/ofrep/v1/evaluate/flags/flag-0"),
        "unleash": asking(other, frontend, flag_unleash.FRONTEND),
    }
    result = {"single": await measure(one, given.rounds, given.seconds)}
    harness.progress(f"creating {FLAGS - 1} more flags")
    for number in range(1, FLAGS):
        await ours.create(f"flag-{number}")
        await theirs.create(f"flag-{number}")
    await until_known(theirs, frontend, FLAGS // 4)
    bulk = {
        "windsock": evaluation(port, "/ofrep/v1/evaluate/flags"),
        "unleash": asking(other, frontend, flag_unleash.FRONTEND),
    }
    result["bulk"] = await measure(bulk, given.rounds, given.seconds)
    definitions = asking(other, "/api/client/features", flag_unleash.BACKEND)
    known = {
        "windsock": evaluation(port, "/ofrep/v1/evaluate/flags", await first_tag(bulk["windsock"])),
        "unleash": asking(
            other, "/api/client/features", flag_unleash.BACKEND, await first_tag(definitions)
        ),
    }
    result["not_modified"] = await measure(known, given.rounds, given.seconds)
    ratios = {
        name: round(each["windsock"]["per_second"] / each["unleash"]["per_second"], 2)
        for name, each in result.items()
    }
    memory = {"windsock": ours.process.resident_mb(), "unleash": theirs.process.resident_mb()}
    return {**result, "windsock_to_unleash": ratios, "resident_mb": memory}


async def until_known(theirs: flag_unleash.Unleash, path: str, count: int) -> None:
    """Wait until the frontend API has the flags, of which about half are on for this user."""
    for _ in range(120):
        body, _ = await theirs.get(path, flag_unleash.FRONTEND)
        if len(body["toggles"]) >= count:
            # It takes its flags anew every so often.
            await asyncio.sleep(12)
            return
        await asyncio.sleep(0.5)
    sys.exit("unleash: the frontend API does not have the flags")


async def run(given: argparse.Namespace) -> None:
    with server_folder() as folder:
        server = RunningPostgres(folder)
        await server.start()
        try:
            await postgres.ensure_database(server.server, "unleash")
            flags = await server.new_flags_database("flags")
            async with (
                windsock(flags) as ours,
                flag_unleash.unleash(server.server.url("unleash")) as theirs,
            ):
                versions = {"unleash-server": flag_unleash.VERSION}
                harness.report({"versions": versions, **await compare(ours, theirs, given)})
        finally:
            server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
