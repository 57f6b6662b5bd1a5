"""A program that a benchmark may kill and start again on its port."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks import harness

READY_SECONDS = 60


@dataclass
class Process:
    """One life at a time, in ``folder`` if it must; ``path`` answers 200 when it is ready."""

    name: str
    command: Sequence[str]
    port: int
    path: str = "/readyz"
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    _running: subprocess.Popen[bytes] | None = None
    _log: Any = None

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        self._log = self._log or tempfile.TemporaryFile()  # noqa: SIM115  it outlives this method
        self._running = subprocess.Popen(
            self.command,
            env={**os.environ, **self.environment},
            cwd=self.folder,
            stdout=self._log,
            stderr=self._log,
        )
        for _ in range(20 * READY_SECONDS):
            if self._running.poll() is not None:
                break
            if await self._ready():
                return
            await asyncio.sleep(0.05)
        self._log.seek(0)
        sys.exit(f"{self.name} did not become ready: {self._log.read().decode()[-2000:]}")

    async def _ready(self) -> bool:
        try:
            async with harness.Connection(self.port) as connection:
                status, _ = await connection.send(harness.request("GET", self.path))
        except (OSError, asyncio.IncompleteReadError, IndexError, ValueError):
            # It does not listen yet, or speaks of itself without a length.
            return False
        return status == 200

    def kill(self) -> None:
        """End it as a crash would."""
        if self._running is not None:
            self._running.kill()
            self._running.wait(30)

    def stop(self) -> None:
        """End it for good."""
        if self._running is not None:
            self._running.terminate()
            self._running.wait(30)
            self._running = None
        if self._log is not None:
            self._log.close()
            self._log = None

    def cpu_seconds(self) -> float:
        """Return the CPU time that this life has used."""
        assert self._running is not None
        times = psutil.Process(self._running.pid).cpu_times()
        return float(times.user + times.system)

    def resident_mb(self) -> float:
        """Return the memory that it holds now."""
        assert self._running is not None
        return round(float(psutil.Process(self._running.pid).memory_info().rss) / 1e6, 1)
