"""A store goes away or becomes slow: everybody hears of that once, nobody is told what is not known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.alerts_svc.receivers import WebhookReceiver
from tests.faults.alerting.scripted_metrics import ScriptedMetrics
from tests.faults.alerting.service import AlertsService, rule
from tests.faults.alerting.telling import News, eventually, of, said, stays, told
from tests.faults.fault_proxy import FaultProxy, Latency, fault_proxy
from tests.faults.service import Service, collector, until
from tests.fixtures.servers import RunningPostgres

AlertsFor = Callable[..., AlertsService]
IMPAIRED = "EvaluationImpaired"


class Store:
    """A store that can be taken away in several ways, and brought back."""

    def __init__(self, server: RunningPostgres, proxy: FaultProxy) -> None:
        self._server = server
        self._proxy = proxy

    async def away(self, how: str) -> None:
        if how == "slow":
            # Longer than a campaign for the lease, or a look at whether it is ready, may take.
            self._proxy.add(Latency(4.0))
        else:
            self._server.stop()

    async def back(self, how: str) -> None:
        self._proxy.clear()
        if how != "slow":
            await self._server.start()


@asynccontextmanager
async def store(server: RunningPostgres) -> AsyncGenerator[tuple[Store, str]]:
    url = await server.new_alerts_database("alerts")
    async with fault_proxy(url) as (proxy, leading):
        yield Store(server, proxy), leading


async def _ready(service: AlertsService) -> bool:
    return await service.status("/readyz") == 200


@pytest.mark.parametrize("how", ["stopped", "slow"])
async def test_own_store_is_away_and_comes_back(
    own_postgres: RunningPostgres,
    alerts_for: AlertsFor,
    metrics: ScriptedMetrics,
    webhook: WebhookReceiver,
    how: str,
) -> None:
    """Fault 10: one alert of it on each channel and the console, nothing else until it is back, then what was missed.

    There are two replicas; the one that acted tells.
    """
    async with store(own_postgres) as (kept, url):
        service, other = alerts_for(url), alerts_for(url)
        await service.start()
        webhook.secrets = [await service.set_webhook("hook", webhook.url)]
        await service.set_rule(rule("Failing"))
        await other.start()
        metrics.set("performance.errors", 0.5, operation="clears")
        await webhook.until(1)
        # What a store that is gone does not know to be sent is sent again.
        await until(lambda: _all_sent(service), "hook and console are known to have it")

        await kept.away(how)
        metrics.set("performance.errors", 0.0, operation="clears")
        metrics.set("performance.errors", 0.5, operation="breaks")
        await eventually(lambda: _has(webhook, IMPAIRED), "it is told that the store is away")
        during = await asyncio.gather(*(_statuses(one) for one in (service, other)))
        known = await service.status("/api/alerts") if how == "stopped" else 503
        # Long enough for another telling, if there were one.
        await stays(lambda: len(told(webhook)) == 2, "nothing else is told", seconds=1.0)

        await kept.back(how)
        await eventually(lambda: len(told(webhook)) >= 5, "what was missed is told")
        await until(lambda: _ready(service), "it is ready again")
        await stays(lambda: len(told(webhook)) == 5, "nothing else is told", seconds=1.5)

    before, after = told(webhook)[:2], told(webhook)[2:]
    assert before == [News("Failing", "clears", "fired"), News(IMPAIRED, "", "fired")]
    assert sorted(after) == sorted(
        [
            News(IMPAIRED, "", "resolved"),
            News("Failing", "clears", "resolved"),
            News("Failing", "breaks", "fired"),
        ]
    )
    assert during == [(200, 503)] * 2
    assert known == 503
    assert sorted(said(service) + said(other)) == sorted(told(webhook))
    assert webhook.problems == []


async def _all_sent(service: AlertsService) -> bool:
    """Return whether both channels have had a message, and the store knows."""
    found = await service.call("GET", "/api/alerts/deliveries")
    return [each["status"] for each in found["deliveries"]] == ["sent"] * 2


def _has(webhook: WebhookReceiver, rule_name: str) -> bool:
    return bool(of(told(webhook), rule_name))


async def _statuses(service: AlertsService) -> tuple[int, int]:
    """Return whether it lives, and whether it is ready."""
    live, ready = await asyncio.gather(service.status("/livez"), service.status("/readyz"))
    return live, ready


async def test_store_of_metrics_is_away_and_comes_back(
    own_postgres: RunningPostgres,
    alerts_url: str,
    alerts_for: AlertsFor,
    webhook: WebhookReceiver,
    service_for: Callable[[str], Service],
) -> None:
    """Fault 10: metrics-svc answers that it knows nothing; what fires stays as it is, its state unknown."""
    metrics = service_for(await own_postgres.new_database("windsock"))
    await metrics.start()
    service = alerts_for(alerts_url, metrics_url=metrics.url)
    await service.start()
    await service.set_webhook("hook", webhook.url)
    await service.set_rule(rule("Failing"))
    sender = collector(metrics.url)
    for _ in range(20):
        sender.record_performance("chat", 10, status="error", error_type="refused")
    await webhook.until(1)

    own_postgres.stop()
    await webhook.until(2)
    states = {
        found["rule"]: found["state"]
        for found in (await service.call("GET", "/api/alerts"))["alerts"]
        if found["rule"] in {"Failing", IMPAIRED}
    }
    await stays(lambda: len(webhook.received) == 2, "it is told once", seconds=2.0)
    ready = await service.status("/readyz")
    await own_postgres.start()
    await webhook.until(3, 20)
    await stays(lambda: len(webhook.received) == 3, "nothing else is told", seconds=1.0)
    sender.close(0.1)

    assert told(webhook) == [
        News("Failing", "chat", "fired"),
        News(IMPAIRED, "", "fired"),
        News(IMPAIRED, "", "resolved"),
    ]
    assert states == {"Failing": "error", IMPAIRED: "firing"}
    assert said(service) == told(webhook)
    # Its own store is there: it can take silences and tell what it knows.
    assert ready == 200
