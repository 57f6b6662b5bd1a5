"""Prometheus with Alertmanager as the alerting benchmark sees them, and an application that they scrape."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.pages import HOOK, LIMITED, Pages
from benchmarks.processes import Process
from tests.fixtures import debian
from windsock_embedded import ports
from windsock_kit.testing import serving

NAME = "prometheus"
SECONDS = 5
SLOW_MS, USUAL_MS, THRESHOLD_MS = 9_000.0, 100.0, 3_000.0


class Application:
    """Shows one number for each rule and operation."""

    def __init__(self, rules: list[str], operations: list[str]) -> None:
        self._values = {(rule, op): USUAL_MS for rule in rules for op in operations}

    def set(self, rule: str, operation: str, value: float) -> None:
        self._values[rule, operation] = value

    async def metrics(self, _: Request) -> Response:
        lines = (
            f'duration_ms{{rule="{rule}",operation="{operation}"}} {value}'
            for (rule, operation), value in self._values.items()
        )
        return Response("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")


@dataclass
class Prometheus:
    """The system; ``notifier`` is what is killed."""

    prometheus: Process
    notifier: Process
    application: Application
    name: str = NAME

    @property
    def processes(self) -> list[Process]:
        """The processes whose CPU time counts."""
        return [self.prometheus, self.notifier]

    async def breach(self, rule: str, operation: str) -> float:
        """Show a slow operation from now on, and return when that was (monotonic)."""
        self.application.set(rule, operation, SLOW_MS)
        return time.monotonic()


def _written(folder: Path, name: str, content: dict[str, Any]) -> str:
    # JSON is YAML as well.
    path = folder / name
    path.write_text(json.dumps(content))
    return str(path)


def _rules(names: list[str], limited: set[str]) -> dict[str, Any]:
    rules = [
        {
            "alert": name,
            "expr": f'duration_ms{{rule="{name}"}} > {THRESHOLD_MS:g}',
            "labels": {"receiver": LIMITED if name in limited else HOOK},
        }
        for name in names
    ]
    return {"groups": [{"name": "benchmark", "rules": rules}]}


def _alertmanager(pages: Pages) -> dict[str, Any]:
    return {
        "route": {
            "receiver": HOOK,
            "group_by": ["alertname"],
            "group_wait": f"{SECONDS}s",
            "routes": [{"receiver": LIMITED, "matchers": [f'receiver="{LIMITED}"']}],
        },
        "receivers": [
            {"name": name, "webhook_configs": [{"url": f"{pages.url}/{name}"}]}
            for name in (HOOK, LIMITED)
        ],
    }


@asynccontextmanager
async def prometheus(
    pages: Pages, watched: list[str], limited: set[str], *, rule_count: int, operations: list[str]
) -> AsyncGenerator[Prometheus]:
    """Run both with Debian's defaults, but for a scrape and an evaluation every five seconds and that group_wait."""
    names = [*watched, *(f"Other{number}" for number in range(rule_count - len(watched)))]
    application = Application(names, operations)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with serving(
            Starlette(routes=[Route("/metrics", application.metrics)])
        ) as application_url:
            notifier = _notifier(folder, pages)
            alertmanager = f"127.0.0.1:{notifier.port}"
            configuration = {
                "global": {"scrape_interval": f"{SECONDS}s", "evaluation_interval": f"{SECONDS}s"},
                "rule_files": [_written(folder, "rules.yaml", _rules(names, limited))],
                "scrape_configs": [
                    {"job_name": "application", "static_configs": _static(application_url)}
                ],
                "alerting": {"alertmanagers": [{"static_configs": _static(alertmanager)}]},
            }
            main = _main(folder, configuration)
            try:
                await notifier.start()
                await main.start()
                yield Prometheus(main, notifier, application)
            finally:
                main.stop()
                notifier.stop()


def _static(address: str) -> list[dict[str, Any]]:
    return [{"targets": [address.removeprefix("http://")]}]


def _main(folder: Path, configuration: dict[str, Any]) -> Process:
    port = ports.free_port()
    command = [
        str(debian.program("prometheus", "prometheus")),
        f"--config.file={_written(folder, 'prometheus.yaml', configuration)}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    return Process("prometheus", command, port, "/-/ready")


def _notifier(folder: Path, pages: Pages) -> Process:
    program, place = debian.alertmanager()
    port = ports.free_port()
    command = [
        str(program),
        f"--config.file={_written(folder, 'alertmanager.yaml', _alertmanager(pages))}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=error",
    ]
    return Process("alertmanager", command, port, "/-/ready", folder=place)


def obtainable() -> str | None:
    """Return why it cannot be had here, ``None`` if it can."""
    try:
        debian.program("prometheus", "prometheus")
        debian.alertmanager()
    except debian.NotObtainableError as error:
        print(f"Prometheus is left out: {error}", file=sys.stderr)
        return str(error)
    return None
