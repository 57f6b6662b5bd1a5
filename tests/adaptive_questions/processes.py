"""The workload and its simulated provider as processes that a test may stop and kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.faults.service import until
from windsock_embedded import ports


class Process:
    """One of our services on a port of its own, that stays the same over its lives."""

    def __init__(self, module: str, prefix: str, folder: Path, environment: dict[str, str]) -> None:
        self.port = ports.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"{module}-{self.port}.log"
        self._module = module
        self._environment = os.environ | {f"{prefix}_PORT": str(self.port)} | environment
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self, path: str = "/readyz") -> None:
        """Start the process and wait until ``path`` is answered with 200."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", self._module],
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

        async def answers() -> bool:
            try:
                return (await client.get(path)).is_success
            except httpx.TransportError:
                return False

        async with self.client() as client:
            await until(answers, f"{self._module} answers")

    def client(self, *, timeout: float = 30, most: int | None = 100) -> httpx.AsyncClient:
        """Return a client of the process, with as many connections as ``most``."""
        # Reading the certificates that http does not need takes a tenth of a second.
        return httpx.AsyncClient(
            base_url=self.url,
            timeout=timeout,
            verify=False,
            limits=httpx.Limits(max_connections=most),
        )

    @property
    def runs(self) -> bool:
        """Whether the process has not ended."""
        return self._process is not None and self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        assert self._process is not None
        self._process.send_signal(number)

    def ended(self) -> int:
        """Wait for the end of the process and return its exit status."""
        assert self._process is not None
        return self._process.wait(timeout=30)

    def kill(self) -> None:
        """End the process as the kernel would; one that has ended stays as it is."""
        if self.runs:
            self.send(signal.SIGKILL)
            self.ended()


@asynccontextmanager
async def running_simulator(folder: Path) -> AsyncGenerator[Process]:
    """Run a simulated provider that waits next to nothing, unless a fault makes it slow."""
    environment = {"SIMULATOR_TIME_SCALE": "0.002", "SIMULATOR_LOG_LEVEL": "warning"}
    simulator = Process("llm_simulator", "SIMULATOR", folder, environment)
    try:
        await simulator.start("/livez")
        yield simulator
    finally:
        simulator.kill()


@asynccontextmanager
async def running_workload(
    folder: Path, simulator: Process, **environment: str
) -> AsyncGenerator[Process]:
    """Run the workload against ``simulator``."""
    provider = {"OPENAI_BASE_URL": f"{simulator.url}/v1"}
    workload = Process("adaptive_questions", "QUESTIONS", folder, provider | environment)
    try:
        await workload.start()
        yield workload
    finally:
        workload.kill()
