"""Both services in the test's own loop, on a real PostgreSQL and Redis, with HTTP between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest

from alerts_svc.app import Parts, create_app
from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.domain.message import Message
from alerts_svc.domain.rule import Comparison, Query, Rule, Threshold
from alerts_svc.ports import Result, Sent, Transport
from alerts_svc.settings import Settings
from metrics_svc.app import create_app as create_metrics_app
from metrics_svc.settings import Settings as MetricsSettings
from windsock_kit.testing import running, serving


@dataclass(slots=True)
class Recorder:
    """A transport that keeps what it is given, in place of every kind of channel.

    ``results`` are prepared answers by channel; after them, and where there are none, it takes everything.
    """

    results: dict[str, list[Result]] = field(default_factory=dict)
    tried: list[Message] = field(default_factory=list)
    taken: list[Message] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, channel: Channel, message: Message, *, wall: float) -> Result:
        """Keep the message, or answer what was prepared."""
        self.tried.append(message)
        prepared = self.results.get(channel.name)
        result = prepared.pop(0) if prepared else Sent(200)
        if isinstance(result, Sent):
            self.taken.append(message)
        self.arrived.set()
        return result

    def parts(self) -> Parts:
        """Return the parts of an application that sends everything here."""
        sink: Transport = self
        return Parts(transports=lambda _: dict.fromkeys(Kind, sink))

    async def until(self, wanted: Callable[[Message], bool], *, seconds: float = 20.0) -> Message:
        """Return the first message taken that is as wanted, waiting for it."""
        async with asyncio.timeout(seconds):
            while True:
                self.arrived.clear()
                for message in self.taken:
                    if wanted(message):
                        return message
                await self.arrived.wait()


@asynccontextmanager
async def metrics_service(database_url: str, redis_url: str = "") -> AsyncGenerator[str]:
    """Serve metrics-svc and give its address."""
    settings = MetricsSettings(database_url=database_url, redis_url=redis_url)
    async with serving(create_metrics_app(settings)) as address:
        yield address


@asynccontextmanager
async def alerts_service(
    database_url: str, metrics_url: str, parts: Parts, **settings: Any
) -> AsyncGenerator[httpx.AsyncClient]:
    """Run alerts-svc and give a client of it."""
    chosen = Settings(database_url=database_url, metrics_url=metrics_url, **settings)
    async with running(create_app(chosen, parts=parts)) as client:
        yield client


def rule(name: str, operation: str, **changes: Any) -> Rule:
    """Return a rule about the average duration of an operation."""
    condition = Threshold(
        Query(
            "performance.duration_ms",
            "avg",
            60,
            group_by=("operation",),
            filters=(("operation", (operation,)),),
        ),
        Comparison.ABOVE,
        warning=1_000.0,
        critical=5_000.0,
    )
    given: dict[str, Any] = {"group": "performance", "condition": condition, "unit": "ms"}
    return Rule(name, **(given | changes))


async def send_events(metrics_url: str, events: Sequence[Mapping[str, Any]]) -> None:
    """Put events in; they are committed when this returns."""
    async with httpx.AsyncClient(base_url=metrics_url) as client:
        answer = await client.post(
            "/api/metrics/events", json={"batch_id": str(uuid4()), "events": list(events)}
        )
        answer.raise_for_status()


def runs(operation: str, duration_ms: float, number: int = 1) -> list[dict[str, Any]]:
    """Return events of an operation that ran just now."""
    now = datetime.now(UTC).isoformat()
    return [
        {
            "type": "performance",
            "operation": operation,
            "duration_ms": duration_ms,
            "timestamp": now,
        }
        for _ in range(number)
    ]


def pages(rule_name: str, channel: str = "console") -> Callable[[Message], bool]:
    """Return a condition: a message to a channel about an alert of a rule."""
    return lambda message: (
        message.channel == channel
        and any(item.labels["alertname"] == rule_name for item in message.items)
    )


async def console_lines(
    capsys: pytest.CaptureFixture[str], rule_name: str, *, seconds: float = 20.0
) -> list[dict[str, Any]]:
    """Return the console's lines about a rule's alerts, as soon as there is one."""
    async with asyncio.timeout(seconds):
        while True:
            lines = capsys.readouterr().out.splitlines()
            found = [line for line in lines if line.startswith("{") and f'"{rule_name}"' in line]
            if found:
                return [orjson.loads(line) for line in found]
            await asyncio.sleep(0.05)
