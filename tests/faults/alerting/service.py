"""alerts-svc as a process that a test may kill, pause and start again, on a port that stays the same."""

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

from tests.faults.alerting import forking
from tests.faults.service import until
from windsock_embedded import ports

# Short, so that what takes its time in earnest does not in a test.
QUICK: Mapping[str, str] = {
    "ALERTS_EVALUATION_INTERVAL_SECONDS": "0.5",
    "ALERTS_EVALUATION_GAP_SECONDS": "0.1",
    "ALERTS_LEASE_SECONDS": "2",
    "ALERTS_METRICS_TIMEOUT_SECONDS": "2",
    "ALERTS_IMPAIRED_AFTER_SECONDS": "3",
    "ALERTS_ALLOWED_TARGETS": "127.0.0.1",
    "ALERTS_LOG_FORMAT": "json",
    "WINDSOCK_AUTH": "off",
}
# For tests on a machine so busy that metrics-svc may not answer in time, which is not what they are about.
PATIENT: Mapping[str, str] = {
    "ALERTS_METRICS_TIMEOUT_SECONDS": "10",
    "ALERTS_IMPAIRED_AFTER_SECONDS": "60",
}


class AlertsService:
    """One process at a time; ``settings`` are variables of the environment, over those of ``QUICK``."""

    def __init__(
        self, database_url: str, folder: Path, *, metrics_url: str, **settings: str
    ) -> None:
        self.port = _own_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"alerts-svc-{self.port}.log"
        self.settings = dict(settings)
        self._database_url = database_url
        self._metrics_url = metrics_url
        self._folder = folder
        self._process: ForkServerProcess | None = None

    async def start(self, *, crash: str | None = None, ready: bool = True) -> None:
        """Start the process and wait until it is ready, or if not ``ready`` until it answers at all.

        ``crash`` is a place where it kills itself, such as ``ledger.commit:after:1`` (see ``crashing``); dead is as
        good as ready then.
        """
        environment = {
            **os.environ,
            **QUICK,
            "ALERTS_DATABASE_URL": self._database_url,
            "ALERTS_METRICS_URL": self._metrics_url,
            "ALERTS_PORT": str(self.port),
            "ALERTS_STATE_DIR": str(self._folder / f"state-{self.port}"),
            **self.settings,
            "CRASH_AT": crash or "",
        }
        self._process = forking.start(environment, self.log, mined=crash is not None)
        path = "/readyz" if ready else "/livez"
        mortal = crash is not None
        await until(lambda: self._answers(path, mortal=mortal), f"alerts-svc answers {path}")

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

        await until(dead, "alerts-svc kills itself")

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
        assert process.exitcode is not None, "alerts-svc does not end"
        return process.exitcode

    def said(self, event: str) -> list[dict[str, Any]]:
        """Return its log's lines of an event, of all lives."""
        lines = (line for line in self.log.read_bytes().splitlines() if line.startswith(b"{"))
        found = [orjson.loads(line) for line in lines]
        return [line for line in found if line.get("event") == event]

    async def set_rule(self, rule: Mapping[str, Any]) -> None:
        """Make a rule."""
        await self.call("POST", "/api/alerts/rules", rule)

    async def set_webhook(self, name: str, url: str) -> str:
        """Make a channel of the kind ``webhook`` and return its secret."""
        body = {"name": name, "kind": "webhook", "settings": {"url": url}}
        made = await self.call("POST", "/api/alerts/channels", body)
        secret: str = made["secret"]
        return secret


def _own_port() -> int:
    """Return a port that no connection and no other server of the tests is given by the system while nobody listens."""
    while not ports.is_free(port := random.randint(20_000, 32_000)):
        continue
    return port


def rule(name: str, *, warning: float = 5.0, **changes: object) -> dict[str, Any]:
    """Return a rule on ``performance.errors`` by operation that fires at once, with what is changed of it."""
    return {
        "name": name,
        "group": "tests",
        "condition": {
            "type": "threshold",
            "measure": "performance.errors",
            "aggregation": "ratio",
            "denominator": "performance.count",
            "window_seconds": 60,
            "group_by": ["operation"],
            "comparison": ">",
            "warning": warning,
            "scale": 100.0,
        },
        "min_samples": 10,
        "unit": "percent",
        "annotations": {"summary": "{operation} fails"},
        **changes,
    }
