"""The reference workload and its simulated provider as processes of their own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psutil

from benchmarks import harness
from windsock_embedded import ports

READY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Program:
    """A running service of ours."""

    port: int
    process: psutil.Process

    async def get(self, path: str) -> Any:
        """Return the JSON at ``path``."""
        async with harness.Connection(self.port) as connection:
            status, body = await connection.send(harness.request("GET", path))
        if status != 200:
            raise SystemExit(f"{path} answered {status}: {body.decode()}")
        return json.loads(body)

    def resident_mb(self) -> float:
        """Return the memory that the process holds now."""
        return round(float(self.process.memory_info().rss) / 1e6, 1)

    def cpu_seconds(self) -> float:
        """Return the CPU time that the process has used."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@dataclass(frozen=True, slots=True)
class Target:
    """The workload and its provider."""

    workload: Program
    simulator: Program


@asynccontextmanager
async def program(module: str, prefix: str, settings: Mapping[str, str]) -> AsyncGenerator[Program]:
    """Run ``python -m module`` on a free port until the block ends."""
    port = ports.free_port()
    environment = {**os.environ, f"{prefix}_PORT": str(port), **settings}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module], env=environment, stdout=log, stderr=log
        )
        try:
            await _ready(module, port, process, log)
            yield Program(port, psutil.Process(process.pid))
        finally:
            process.terminate()
            process.wait(30)


async def _ready(module: str, port: int, process: subprocess.Popen[bytes], log: Any) -> None:
    for _ in range(10 * READY_SECONDS):
        if process.poll() is not None:
            break
        try:
            async with harness.Connection(port) as connection:
                if (await connection.send(harness.request("GET", "/readyz")))[0] == 200:
                    return
        except (OSError, asyncio.IncompleteReadError):
            pass
        await asyncio.sleep(0.1)
    log.seek(0)
    sys.exit(f"{module} did not become ready: {log.read().decode()[-2000:]}")


@asynccontextmanager
async def target(
    *, workload: Mapping[str, str], simulator: Mapping[str, str]
) -> AsyncGenerator[Target]:
    """Run both, the workload with the provider that is simulated."""
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(program("llm_simulator", "SIMULATOR", simulator))
        settings = {
            "OPENAI_BASE_URL": f"http://127.0.0.1:{provider.port}/v1",
            "OPENAI_API_KEY": "simulated",
            "QUESTIONS_LOG_LEVEL": "warning",
            **workload,
        }
        application = await stack.enter_async_context(
            program("adaptive_questions", "QUESTIONS", settings)
        )
        yield Target(application, provider)
