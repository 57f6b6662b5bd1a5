"""What must go on, or stop, beside the twenty faults."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx

from tests.alerts_svc.receivers import Reply, WebhookReceiver
from tests.faults.alerting.scripted_metrics import ScriptedMetrics
from tests.faults.alerting.service import AlertsService, rule
from tests.faults.alerting.telling import eventually, of, stays, told
from tests.faults.service import until

AlertsFor = Callable[..., AlertsService]
CONFIGURATION = "/api/alerts/configuration"
BEAT_SECONDS = 5


def in_a_while(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


@asynccontextmanager
async def locked(database_url: str, table: str) -> AsyncGenerator[None]:
    """Let nobody read or write a table."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


async def test_heartbeat_stops_while_the_process_lives_and_does_not_evaluate(
    alerts_url: str, alerts_for: AlertsFor, webhook: WebhookReceiver
) -> None:
    service = alerts_for(alerts_url)
    await service.start()
    beats = {"url": webhook.url, "interval_seconds": BEAT_SECONDS}
    body = {"name": "beat", "kind": "heartbeat", "settings": beats}
    await service.call("POST", "/api/alerts/channels", body)
    await webhook.until(2, 2 * BEAT_SECONDS)

    async with locked(alerts_url, "alerts.inbox"):
        before = len(webhook.received)
        await stays(
            lambda: len(webhook.received) == before, "no beat comes", seconds=1.5 * BEAT_SECONDS
        )
        statuses = [await service.status(path) for path in ("/livez", "/readyz")]
    await eventually(lambda: len(webhook.received) > before, "it beats again")

    assert service.alive()
    assert statuses == [200, 503]


async def test_configuration_that_is_wrong_leaves_the_old_one_in_force(
    alerts_url: str, alerts_for: AlertsFor, metrics: ScriptedMetrics, webhook: WebhookReceiver
) -> None:
    service = alerts_for(alerts_url)
    await service.start()
    await service.set_webhook("hook", webhook.url)
    await service.set_rule(rule("Failing"))
    kept = await service.call("GET", CONFIGURATION)
    wrong: list[dict[str, Any]] = [
        {"routes": [{"name": "all", "channels": ["nobody"]}]},
        {"routes": [{"name": "all", "matchers": ['operation=~"("']}]},
        {"routes": [{"name": "all", "chanels": ["hook"]}]},
        {"mute_windows": [{"name": "night", "start": "25:00", "end": "06:00"}]},
        {"group_interval_seconds": -1},
    ]

    async with httpx.AsyncClient(base_url=service.url) as client:
        answers = [await client.put(CONFIGURATION, json=kept | one) for one in wrong]
        answers.append(await client.put(CONFIGURATION, content=b'{"routes": [}'))
    metrics.set("performance.errors", 0.5, operation="chat")
    await webhook.until(1)

    assert [answer.status_code for answer in answers] == [422] * len(wrong) + [400]
    assert all(answer.json()["path"] for answer in answers[:-1])
    assert await service.call("GET", CONFIGURATION) == kept


async def test_what_is_being_sent_at_the_end_is_finished(
    alerts_url: str, alerts_for: AlertsFor, webhook: WebhookReceiver
) -> None:
    service = alerts_for(alerts_url)
    await service.start()
    await service.set_webhook("hook", webhook.url)
    webhook.replies.append(Reply(delay=1.5))
    await service.call("POST", "/api/v2/alerts", [{"labels": {"alertname": "Posted"}}])
    await webhook.until(1)

    status = await service.terminate()
    await service.start()
    found = await service.call("GET", "/api/alerts/deliveries?channel=hook")
    await stays(lambda: len(webhook.received) == 1, "it is sent once", seconds=1.5)

    assert status == -signal.SIGTERM
    assert [one["status"] for one in found["deliveries"]] == ["sent"]


async def test_what_cannot_be_finished_at_the_end_is_sent_again_under_the_same_id(
    alerts_url: str, alerts_for: AlertsFor, webhook: WebhookReceiver
) -> None:
    service = alerts_for(alerts_url)
    await service.start()
    await service.set_webhook("hook", webhook.url)
    webhook.replies.append(Reply(delay=60))
    await service.call("POST", "/api/v2/alerts", [{"labels": {"alertname": "Posted"}}])
    await webhook.until(1)

    began = time.monotonic()
    status = await service.terminate()
    took = time.monotonic() - began
    await service.start()
    received = await webhook.until(2)

    assert status == -signal.SIGTERM
    assert took < 50
    assert received[0].id == received[1].id
    assert of(told(webhook), "Posted") == ["fired"]


async def test_silence_over_a_page_that_was_delivered_lets_its_end_through(
    alerts_url: str, alerts_for: AlertsFor, metrics: ScriptedMetrics, webhook: WebhookReceiver
) -> None:
    service = alerts_for(alerts_url)
    await service.start()
    await service.set_webhook("hook", webhook.url)
    await service.set_rule(rule("Failing"))
    metrics.set("performance.errors", 0.5, operation="chat")
    await webhook.until(1)

    everything = {"matchers": ['alertname=~".+"'], "minutes": 60, "created_by": "x", "comment": "y"}
    await service.call("POST", "/api/alerts/silences", everything)
    metrics.set("performance.errors", 0.5, operation="other")
    await until(lambda: _fires(service, 2), "the other one fires, silenced")
    metrics.set("performance.errors", 0.0, operation="chat")
    metrics.set("performance.errors", 0.0, operation="other")
    await eventually(lambda: len(told(webhook)) == 2, "the end is told")
    await until(lambda: _fires(service, 0), "the other one is over too")
    await stays(lambda: len(told(webhook)) == 2, "nobody hears of the other", seconds=1.0)

    assert of(told(webhook), "Failing", "chat") == ["fired", "resolved"]


async def _fires(service: AlertsService, count: int) -> bool:
    found = await service.call("GET", "/api/alerts?rule=Failing&state=firing")
    return bool(found["total"] == count)


async def test_alert_of_two_senders_is_one(
    alerts_url: str, alerts_for: AlertsFor, webhook: WebhookReceiver
) -> None:
    service = alerts_for(alerts_url)
    await service.start()
    await service.set_webhook("hook", webhook.url)
    one, other = in_a_while(-300), in_a_while(-100)

    def alert(begin: str, end: str, sender: str) -> list[dict[str, Any]]:
        times = {"startsAt": begin, "endsAt": end}
        labels = {"alertname": "Posted", "operation": "chat"}
        return [{"labels": labels, "annotations": {"summary": sender}, **times}]

    for _ in range(3):
        await service.call("POST", "/api/v2/alerts", alert(one, in_a_while(240), "first"))
        await service.call("POST", "/api/v2/alerts", alert(other, in_a_while(200), "second"))
    await webhook.until(1)
    # The one says that it is over; what the other said last is older than that.
    found = (await service.call("GET", "/api/v2/alerts"))[0]
    await service.call("POST", "/api/v2/alerts", alert(one, in_a_while(0), "first"))
    await eventually(lambda: len(told(webhook)) == 2, "it is over")

    assert of(told(webhook), "Posted") == ["fired", "resolved"]
    assert datetime.fromisoformat(found["startsAt"]) - datetime.fromisoformat(one) < timedelta(
        seconds=1
    )
    assert datetime.fromisoformat(found["endsAt"]) > datetime.fromisoformat(in_a_while(210))
    assert found["annotations"]["summary"] == "second"
