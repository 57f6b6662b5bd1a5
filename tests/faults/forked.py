"""A service as a process that a test may kill, pause and start again, on a port that stays the same."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import httpx
import orjson

from tests.faults import forking
from tests.faults.service import until
from windsock_embedded import ports


class Forked:
    """One process at a time; its log is that of all its lives."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self._process: ForkServerProcess | None = None

    def begin(self, program: str, environment: Mapping[str, str]) -> None:
        """Start the ``main`` of a module with these variables above the test's own."""
        self._process = forking.start(program, {**os.environ, **environment}, self.log)

    @property
    def pid(self) -> int:
        """Return the process's id."""
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid

    def alive(self) -> bool:
        """Return whether the process lives."""
        return self._process is not None and self._process.is_alive()

    async def died(self) -> None:
        """Wait until the process has ended by itself."""

        async def dead() -> bool:
            return not self.alive()

        await until(dead, f"{self.name} kills itself")

    def kill(self) -> None:
        """End the process as the kernel would."""
        self._end(signal.SIGKILL)

    async def terminate(self) -> int:
        """Ask the process to end and return its exit status; what the test serves it meanwhile goes on."""
        return await asyncio.to_thread(self._end, signal.SIGTERM)

    def pause(self) -> None:
        """Stop the process where it is, as a host without time for it would."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on, as if no time had passed."""
        os.kill(self.pid, signal.SIGCONT)

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        pid, process, self._process = self.pid, self._process, None
        with suppress(ProcessLookupError):
            if process.is_alive():
                os.kill(pid, number)
            if number == signal.SIGTERM:
                # A paused process does not hear of it.
                os.kill(pid, signal.SIGCONT)
        process.join(30)
        assert process.exitcode is not None, f"{self.name} does not end"
        return process.exitcode


class ForkedService(Forked):
    """A process that answers HTTP on a port of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self.port = own_port()
        self.url = f"http://127.0.0.1:{self.port}"
        super().__init__(name, folder / f"{name}-{self.port}.log")

    async def answering(self, path: str, *, mortal: bool) -> None:
        """Wait until ``path`` is answered with 200; to be dead is as good for a ``mortal`` one."""
        await until(lambda: self._answers(path, mortal=mortal), f"{self.name} answers {path}")

    async def _answers(self, path: str, *, mortal: bool) -> bool:
        alive = self.alive()
        assert alive or mortal, self.log.read_text()[-3_000:]
        return not alive or await self.status(path) == 200

    async def status(self, path: str) -> int:
        """Return the status of a path, 0 for no answer."""
        try:
            async with httpx.AsyncClient(timeout=10) as client:
                return (await client.get(f"{self.url}{path}")).status_code
        except httpx.TransportError:
            return 0

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """Call its API and return what it answers; fails on anything but success."""
        async with httpx.AsyncClient(timeout=10) as client:
            content = None if body is None else orjson.dumps(body)
            answer = await client.request(method, f"{self.url}{path}", content=content)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def said(self, event: str) -> list[dict[str, Any]]:
        """Return its log's lines of an event, of all lives."""
        lines = (line for line in self.log.read_bytes().splitlines() if line.startswith(b"{"))
        found = [orjson.loads(line) for line in lines]
        return [line for line in found if line.get("event") == event]


def own_port() -> int:
    """Return a port that no connection and no other server of the tests is given by the system while nobody listens."""
    while not ports.is_free(port := random.randint(20_000, 32_000)):
        continue
    return port
