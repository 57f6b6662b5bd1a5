"""Redis goes away, which carries announcements and is itself watched: that is told, and nothing depends on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

import windsock
from tests.alerts_svc.receivers import WebhookReceiver
from tests.faults.alerting.service import AlertsService, rule
from tests.faults.alerting.telling import News, eventually, said, stays, told
from tests.faults.service import Service, until
from tests.fixtures.servers import in_memory, running_redis, server_folder
from windsock_embedded import ports

AlertsFor = Callable[..., AlertsService]
OPERATIONS = [f"operation-{number}" for number in range(10)]


async def test_redis_goes_away_and_comes_back(
    new_database: Callable[[], Awaitable[str]],
    alerts_url: str,
    alerts_for: AlertsFor,
    webhook: WebhookReceiver,
    service_for: Callable[..., Service],
    sender_for: Callable[[Service], windsock.MetricsCollector],
) -> None:
    """Fault 11: "Redis down" is told once and resolves once; what follows from it waits, what was told stays told."""
    metrics_url = await new_database()
    with server_folder(in_memory()) as folder:
        port = ports.free_port()
        with running_redis(folder, port=port) as redis_url:
            metrics = service_for(
                metrics_url,
                METRICS_REDIS_URL=redis_url,
                METRICS_PROBES=f"redis={redis_url}",
                METRICS_PROBE_INTERVAL_SECONDS="0.2",
            )
            await metrics.start()
            service = alerts_for(alerts_url, metrics_url=metrics.url, ALERTS_REDIS_URL=redis_url)
            await service.start()
            await _quicken(service)
            webhook.secrets = [await service.set_webhook("hook", webhook.url)]
            await service.set_rule(rule("Failing", cooldown_seconds=1))
            await service.set_rule(_slow())
            sender = sender_for(metrics)
            for operation in 10 * OPERATIONS:
                sender.record_performance(operation, 10, status="error", error_type="refused")
            await eventually(lambda: len(told(webhook)) == 10, "ten operations are told of")
            await until(lambda: _probed(metrics), "Redis was seen up")

        await eventually(lambda: len(told(webhook)) == 11, "Redis is told to be down")
        for _ in range(20):
            sender.record_performance("follows", 60_000)
        await until(lambda: _inhibited(service), "what follows from it is held back")
        await stays(lambda: len(told(webhook)) == 11, "nothing else is told", seconds=1.0)

        with running_redis(folder, port=port):
            await eventually(lambda: len(told(webhook)) == 13, "it is told that Redis is back")
            await stays(lambda: len(told(webhook)) == 13, "nothing else is told", seconds=2.0)

    assert sorted(told(webhook)[:10]) == [News("Failing", name, "fired") for name in OPERATIONS]
    assert told(webhook)[10:] == [
        News("RedisDown", "redis", "fired"),
        News("RedisDown", "redis", "resolved"),
        News("Slow", "follows", "fired"),
    ]
    assert sorted(said(service)) == sorted(told(webhook))
    assert webhook.problems == []
    down = next(one.json for one in webhook.received if b"RedisDown" in one.body)
    assert down["windsock"]["severity"] == "critical"


async def _quicken(service: AlertsService) -> None:
    """Let the rule that there is by default look back, and wait, for less."""
    found = await service.call("GET", "/api/alerts/rules/RedisDown")
    condition = {**found["condition"], "window_seconds": 10}
    changed = {**found, "condition": condition, "keep_firing_for_seconds": 0}
    await service.call("PUT", "/api/alerts/rules/RedisDown", changed)


def _slow() -> dict[str, Any]:
    condition = {
        "type": "threshold",
        "measure": "performance.duration_ms",
        "aggregation": "avg",
        "window_seconds": 60,
        "group_by": ["operation"],
        "comparison": ">",
        "warning": 1_000,
    }
    return {**rule("Slow"), "condition": condition, "labels": {"signal": "latency"}, "unit": "ms"}


async def _probed(metrics: Service) -> bool:
    async with httpx.AsyncClient() as client:
        question = {"measure": "probe.up", "aggregation": "sum", "filters": {"target": "redis"}}
        answer = await client.post(
            f"{metrics.url}/api/metrics/query",
            json={"queries": [question], "time_window_minutes": 1},
        )
    series = answer.raise_for_status().json()["queries"][0]["series"]
    return bool(series) and series[0]["value"] >= 5


async def _inhibited(service: AlertsService) -> bool:
    found = await service.call("GET", "/api/alerts?rule=Slow")
    return any(alert["inhibited_by"] for alert in found["alerts"])
