"""What the benchmarks share: a store, the service as its own process, a client that costs little, the machine."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from tests.fixtures.servers import RunningPostgres, server_folder
from windsock_embedded import ports


@dataclass(frozen=True, slots=True)
class Service:
    """A running metrics-svc with its own PostgreSQL."""

    database_url: str
    port: int
    process: psutil.Process

    def resident_mb(self) -> float:
        """Return the memory that the service holds now."""
        return round(float(self.process.memory_info().rss) / 1e6, 1)

    def peak_mb(self) -> float:
        """Return the most memory that the service ever held."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return round(int(line.split()[1]) * 1024 / 1e6, 1)


@asynccontextmanager
async def service(**settings: str) -> AsyncGenerator[Service]:
    """Run metrics-svc as a process of its own on an empty database."""
    with server_folder() as folder, tempfile.TemporaryFile() as log:
        postgres = RunningPostgres(folder)
        process: subprocess.Popen[bytes] | None = None
        try:
            await postgres.start()
            url = await postgres.new_database("benchmark")
            port = ports.free_port()
            environment = {
                **os.environ,
                "METRICS_DATABASE_URL": url,
                "METRICS_PORT": str(port),
                "METRICS_LOG_LEVEL": "warning",
                **settings,
            }
            process = subprocess.Popen(
                [sys.executable, "-m", "metrics_svc"], env=environment, stdout=log, stderr=log
            )
            await _ready(port, process, log)
            yield Service(url, port, psutil.Process(process.pid))
        finally:
            if process is not None:
                process.terminate()
                process.wait(30)
            postgres.stop()


async def _ready(port: int, process: subprocess.Popen[bytes], log: Any) -> None:
    for _ in range(300):
        if process.poll() is not None:
            log.seek(0)
            sys.exit(f"metrics-svc ended: {log.read().decode()[-2000:]}")
        try:
            async with Connection(port) as connection:
                if (await connection.send(request("GET", "/livez")))[0] == 200:
                    return
        except OSError:
            pass
        await asyncio.sleep(0.1)
    sys.exit("metrics-svc did not become ready")


def request(method: str, path: str, body: bytes = b"") -> bytes:
    """Return a whole HTTP/1.1 request, ready to be written."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Connection:
    """One kept-alive connection that writes prepared requests: its cost must not count as the service's."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Connection:
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._port, limit=2**22
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def send(self, data: bytes) -> tuple[int, bytes]:
        """Write a request and return status and body of its answer."""
        self._writer.write(data)
        head = await self._reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        length = int(head.lower().split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
        return status, await self._reader.readexactly(length)


async def send_all(port: int, requests: Iterable[bytes], *, in_flight: int) -> int:
    """Send every request over ``in_flight`` connections and return how many were sent; all must answer 200."""
    shared = iter(requests)
    sent = 0

    async def one() -> None:
        nonlocal sent
        async with Connection(port) as connection:
            for data in shared:
                status, body = await connection.send(data)
                if status != 200:
                    raise SystemExit(f"{status}: {body.decode()}")
                sent += 1

    await asyncio.gather(*(one() for _ in range(in_flight)))
    return sent


def machine() -> dict[str, Any]:
    """Return where and when this was measured."""
    cpu = platform.processor()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return median, p99 and maximum; the p99 is the value below which 99 % lie."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return {
        "median": round(ordered[last // 2], 3),
        "p99": round(ordered[round(last * 0.99)], 3),
        "max": round(ordered[last], 3),
    }


def report(result: Mapping[str, Any]) -> None:
    """Print a result as JSON."""
    print(json.dumps({"machine": machine(), **result}, indent=2))


def progress(text: str) -> None:
    """Say on standard error what is going on."""
    print(text, file=sys.stderr, flush=True)
