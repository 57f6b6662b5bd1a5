"""Real processes, killed, stopped and cut off, with a bad network between: what the simulation promises holds there too."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest

from alerts_svc.wire.rules import parse_rule
from tests.alerts_svc.receivers import WebhookReceiver, running
from tests.alerts_svc.simulation.checker import check
from tests.alerts_svc.simulation.facts import Facts
from tests.faults.alerting.chronicle import Chronicle
from tests.faults.alerting.nemesis import DEEDS, Nemesis, mended
from tests.faults.alerting.scripted_metrics import ScriptedMetrics
from tests.faults.alerting.service import AlertsService, rule
from tests.faults.fault_proxy import fault_proxy
from tests.faults.service import until

AlertsFor = Callable[..., AlertsService]
OPERATIONS = ("chat", "search", "silent")
SEED = 20_261_122
STRUCK_SECONDS = 22.0
HELD_SECONDS = 8.0


def rules() -> list[dict[str, Any]]:
    """Return two rules, of which one waits a little before it fires."""
    limits = {"aggregation": "avg", "window_seconds": 60, "group_by": ["operation"]}
    levels = {"type": "threshold", "comparison": ">", "warning": 100.0, "critical": 200.0}
    return [
        rule("rule0", condition=limits | levels | {"measure": "m.rule0"}, cooldown_seconds=0),
        rule("rule1", condition=limits | levels | {"measure": "m.rule1"}, cooldown_seconds=3, for_seconds=1),
    ]  # fmt: skip


class World:
    """What is measured while all of that happens."""

    def __init__(self, seed: int, metrics: ScriptedMetrics, chronicle: Chronicle) -> None:
        self._random = random.Random(seed)
        self._metrics = metrics
        self._chronicle = chronicle

    def set(self, name: str, operation: str, value: float) -> None:
        """Let a measure be so from now on."""
        self._metrics.set(f"m.{name}", value, operation=operation)
        self._chronicle.measured(time.time(), name, operation, value)

    def pairs(self) -> Iterator[tuple[str, str]]:
        return (
            (known.name, operation) for known in self._chronicle.rules for operation in OPERATIONS
        )

    def all(self, value: float) -> None:
        for name, operation in self.pairs():
            self.set(name, operation, value)

    async def change(self) -> None:
        """Let one measure after the other change, until cancelled."""
        while True:
            name, operation = self._random.choice(list(self.pairs()))
            self.set(name, operation, self._random.choice((10.0, 10.0, 100.0, 150.0, 250.0)))
            await asyncio.sleep(self._random.uniform(0.05, 0.5))


async def silenced(services: list[AlertsService], chronicle: Chronicle, minutes: float) -> None:
    """Ask any replica for a silence until one says that it is in force."""
    matchers = [{"name": "operation", "value": OPERATIONS[-1]}]
    body = {"matchers": matchers, "minutes": minutes, "created_by": "x", "comment": "y"}
    for attempt in range(1_000):
        url = services[attempt % len(services)].url
        try:
            async with httpx.AsyncClient(timeout=1) as client:
                answer = await client.post(f"{url}/api/alerts/silences", content=orjson.dumps(body))
        except httpx.TransportError:
            await asyncio.sleep(0.1)
            continue
        if answer.is_success:
            at, made = time.time(), answer.json()
            begin, end = (datetime.fromisoformat(made[key]).astimezone(UTC).timestamp() for key in ("starts_at", "ends_at"))  # fmt: skip
            chronicle.silenced(at, made["id"], OPERATIONS[-1], begin, end)
            return
        await asyncio.sleep(0.1)
    pytest.fail("nobody takes a silence")


async def test_promises_hold_on_real_processes(
    alerts_url: str, alerts_for: AlertsFor, metrics: ScriptedMetrics
) -> None:
    seed = SEED
    made = rules()
    parsed = [parse_rule(orjson.dumps(one)) for one in made]
    chronicle = Chronicle(parsed, OPERATIONS, time.time())
    async with AsyncExitStack() as stack:
        hook = await stack.enter_async_context(running(WebhookReceiver()))
        plain = await stack.enter_async_context(running(WebhookReceiver()))
        way, hook_url = await stack.enter_async_context(fault_proxy(hook.url, seed=seed))
        ways = [await stack.enter_async_context(fault_proxy(alerts_url)) for _ in range(2)]
        # What is told while the store is away is another test's.
        settings = {"ALERTS_IMPAIRED_AFTER_SECONDS": "60"}
        services = [alerts_for(url, **settings) for _, url in ways]
        for service in services:
            await service.start()
        configuration = await services[0].call("GET", "/api/alerts/configuration")
        quick = configuration | {
            "group_by": ["alertname", "operation"],
            "group_interval_seconds": 1,
        }
        await services[0].call("PUT", "/api/alerts/configuration", quick)
        await services[0].set_webhook("hook", hook_url)
        await services[0].set_webhook("plain", plain.url)
        for one in made:
            await services[0].set_rule(one)
        nemesis = Nemesis(seed, alerts_url, services, [proxy for proxy, _ in ways], way, chronicle)
        world = World(seed, metrics, chronicle)
        world.all(10.0)

        changing = asyncio.create_task(world.change())
        silence = asyncio.create_task(silenced(services, chronicle, minutes=0.25))
        await nemesis.strike(STRUCK_SECONDS)
        changing.cancel()
        await asyncio.gather(changing, return_exceptions=True)
        await silence
        # Long enough, and without any harm, for each breach to be told.
        await mended(services)
        world.all(250.0)
        await asyncio.sleep(HELD_SECONDS)
        world.all(10.0)
        receivers = {"hook": hook, "plain": plain}
        await until(
            lambda: _drained(chronicle, alerts_url, services, receivers),
            "all is told and over",
            seconds=30,
        )
        history = await chronicle.history(alerts_url, services, receivers, ended_at=time.time())

    wrong = check(history)
    facts = Facts(history)
    if wrong:
        pytest.fail(f"seed {seed}:\n{history.tail(150)}\n" + "\n".join(wrong))
    # That it met what it is there for.
    assert set(nemesis.done) == set(DEEDS)
    assert len(facts.transitions) > 10
    assert len(facts.queued) > 50


async def _drained(
    chronicle: Chronicle,
    url: str,
    services: list[AlertsService],
    receivers: dict[str, WebhookReceiver],
) -> bool:
    return (await chronicle.history(url, services, receivers, ended_at=time.time())).drained
