"""Windsock as the alerting benchmark sees it: both services, their store, and an application that sends events."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from benchmarks import harness, workload
from benchmarks.pages import HOOK, LIMITED, Pages
from benchmarks.processes import Process
from tests.fixtures.servers import RunningPostgres, running_redis, server_folder
from windsock_embedded import ports

NAME = "windsock"
SLOW_MS, USUAL_MS, THRESHOLD_MS = 9_000.0, 100.0, 3_000.0
BREACH_EVENTS = 20
# Each series of a watched rule gets an event this often.
EVERY_SECONDS = 10
_WINDOWS = (60, 300, 900, 1_800, 3_600)
_ASKED: tuple[tuple[str, str, str | None], ...] = (
    *(("performance.duration_ms", each, None) for each in ("avg", "p50", "p90", "p95", "p99")),
    ("performance.errors", "ratio", "performance.count"),
    ("llm_call.cost_usd", "sum", None),
    ("llm_call.input_tokens", "sum", None),
    ("quality.score", "avg", None),
)
_FILTERS: tuple[dict[str, str], ...] = (
    {},
    {"environment": "production"},
    {"gap_priority": "HIGH"},
)
# Nothing that the application does reaches it.
_NEVER = 1e9


def rules(watched: list[str], count: int, limited: set[str]) -> Iterator[dict[str, Any]]:
    """Return the rules that the benchmark makes breach, and as many others as make ``count``, all by operation."""
    for name in watched:
        yield _rule(
            name,
            ("performance.duration_ms", "p95", None),
            60,
            {"environment": name},
            THRESHOLD_MS,
            {"receiver": LIMITED if name in limited else HOOK},
        )
    others = itertools.cycle(itertools.product(_FILTERS, _WINDOWS, _ASKED))
    for number in range(count - len(watched)):
        filters, window, asked = next(others)
        # An average quality is bad below its threshold.
        yield _rule(f"Other{number}", asked, window, filters, _NEVER, {})


def _rule(
    name: str,
    asked: tuple[str, str, str | None],
    window: int,
    filters: dict[str, str],
    threshold: float,
    labels: dict[str, str],
) -> dict[str, Any]:
    measure, aggregation, denominator = asked
    return {
        "name": name,
        "group": "benchmark",
        "condition": {
            "type": "threshold",
            "measure": measure,
            "aggregation": aggregation,
            **({"denominator": denominator} if denominator else {}),
            "window_seconds": window,
            "group_by": ["operation"],
            "filters": filters,
            "comparison": ">",
            "warning": threshold,
        },
        "min_samples": 1,
        "labels": labels,
    }


@dataclass
class Windsock:
    """The system; ``notifier`` is what is killed."""

    metrics: Process
    notifier: Process
    watched: list[str]
    operations: list[str]
    name: str = NAME
    sent: int = 0
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def processes(self) -> list[Process]:
        """The processes whose CPU time counts."""
        return [self.notifier, self.metrics]

    async def breach(self, rule: str, operation: str) -> float:
        """Send slow events, and return when (monotonic)."""
        now = workload.stamp(time.time())
        events = [_event(now, operation, rule, SLOW_MS) for _ in range(BREACH_EVENTS)]
        at = time.monotonic()
        await self._send(events)
        return at

    async def _send(self, events: list[dict[str, Any]]) -> None:
        body = json.dumps({"batch_id": str(uuid.uuid4()), "events": events}).encode()
        prepared = harness.request("POST", "/api/metrics/events", body)
        async with harness.Connection(self.metrics.port) as connection:
            status, answer = await connection.send(prepared)
        if status != 200:
            sys.exit(f"metrics-svc answered {status}: {answer.decode()[:1000]}")
        self.sent += len(events)

    async def work(self) -> None:
        """Be an application at work until told to stop: some 100 events a second, and the watched series' own."""
        series = list(itertools.product(self.watched, self.operations))
        for second in itertools.count():
            if self._stop.is_set():
                return
            started = time.monotonic()
            now = workload.stamp(time.time())
            events = [
                _event(now, operation, rule, USUAL_MS)
                for rule, operation in series[second % EVERY_SECONDS :: EVERY_SECONDS]
            ]
            for operation in self.operations:
                events += _usual(now, operation)
            await self._send(events)
            await asyncio.sleep(max(0.0, 1 - (time.monotonic() - started)))

    def stop(self) -> None:
        self._stop.set()


def _event(now: str, operation: str, environment: str, duration: float) -> dict[str, Any]:
    return {
        "type": "performance",
        "timestamp": now,
        "operation": operation,
        "environment": environment,
        "gap_priority": "HIGH",
        "duration_ms": duration,
    }


def _usual(now: str, operation: str) -> list[dict[str, Any]]:
    common = {"timestamp": now, "operation": operation, "environment": "production"}
    call_made = {
        **common,
        "type": "llm_call",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "input_tokens": 800,
        "output_tokens": 120,
    }
    timed = _event(now, operation, "production", USUAL_MS)
    return [timed, timed, timed, call_made, {**common, "type": "quality", "score": 8.0}]


async def call(port: int, method: str, path: str, body: bytes = b"") -> Any:
    """Call an API and return what it answers; anything but success ends the benchmark."""
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=url, timeout=30, verify=False) as client:
        headers = {"Content-Type": "application/json"} if body else {}
        answer = await client.request(method, path, content=body, headers=headers)
    if not answer.is_success:
        sys.exit(f"{method} {path} answered {answer.status_code}: {answer.text[:1000]}")
    return answer.json() if answer.content else None


def _service(module: str, name: str, prefix: str, settings: dict[str, str]) -> Process:
    port = ports.free_port()
    environment = {f"{prefix}_PORT": str(port), f"{prefix}_LOG_LEVEL": "warning", **settings}
    return Process(name, [sys.executable, "-m", module], port, environment=environment)


@asynccontextmanager
async def windsock(
    pages: Pages, watched: list[str], limited: set[str], *, rule_count: int, operations: list[str]
) -> AsyncGenerator[Windsock]:
    """Run everything on an empty store, with its rules and channels, and the application at work."""
    with server_folder() as folder, server_folder() as other, running_redis(other) as redis_url:
        postgres = RunningPostgres(folder)
        made: list[Process] = []
        try:
            await postgres.start()
            metrics = _service(
                "metrics_svc",
                "metrics-svc",
                "METRICS",
                {
                    "METRICS_DATABASE_URL": await postgres.new_database("benchmark"),
                    "METRICS_REDIS_URL": redis_url,
                },
            )
            notifier = _service(
                "alerts_svc",
                "alerts-svc",
                "ALERTS",
                {
                    "ALERTS_DATABASE_URL": await postgres.new_alerts_database("benchmark"),
                    "ALERTS_REDIS_URL": redis_url,
                    "ALERTS_METRICS_URL": f"http://127.0.0.1:{metrics.port}",
                    "ALERTS_ALLOWED_TARGETS": "127.0.0.1",
                    "ALERTS_STATE_DIR": str(folder / "alerts"),
                },
            )
            made += [metrics, notifier]
            for process in made:
                await process.start()
            await _configure(notifier.port, pages, list(rules(watched, rule_count, limited)))
            system = Windsock(metrics, notifier, watched, operations)
            working = asyncio.create_task(system.work())
            try:
                yield system
            finally:
                system.stop()
                await working
        finally:
            for process in reversed(made):
                process.stop()
            postgres.stop()


async def _configure(port: int, pages: Pages, wanted: list[dict[str, Any]]) -> None:
    for name in (HOOK, LIMITED):
        channel = {"name": name, "kind": "webhook", "settings": {"url": f"{pages.url}/{name}"}}
        await _put(port, "POST", "/api/alerts/channels", channel)
    routes = [
        {"name": name, "matchers": [f'receiver="{name}"'], "channels": [name]}
        for name in (HOOK, LIMITED)
    ]
    await _put(port, "PUT", "/api/alerts/configuration", {"routes": routes})
    # As many rules as are wanted, and no others.
    for rule in (await call(port, "GET", "/api/alerts/rules"))["rules"]:
        if rule["origin"] != "builtin":
            await call(port, "DELETE", f"/api/alerts/rules/{rule['name']}")
    for rule in wanted:
        await _put(port, "POST", "/api/alerts/rules", rule)


async def _put(port: int, method: str, path: str, content: object) -> None:
    await call(port, method, path, json.dumps(content).encode())
