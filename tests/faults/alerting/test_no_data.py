"""metrics-svc says nothing, nothing new, or begins anew, while an alert fires: that is no resolve."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import windsock
from tests.alerts_svc.receivers import WebhookReceiver
from tests.faults.alerting.scripted_metrics import ScriptedMetrics
from tests.faults.alerting.service import AlertsService, rule
from tests.faults.alerting.telling import News, eventually, of, said, stays, told
from tests.faults.service import Service, until

AlertsFor = Callable[..., AlertsService]
NO_DATA_SECONDS = 10.0
WITHOUT = ["absent", "stale", "zeros", "few", "null"]


async def _states(service: AlertsService) -> dict[str, str]:
    """Return the state of each operation's alert."""
    alerts = (await service.call("GET", "/api/alerts?rule=Failing"))["alerts"]
    return {alert["labels"]["operation"]: alert["state"] for alert in alerts}


async def test_answers_without_data_are_told_as_such_after_a_delay_of_their_own(
    alerts_url: str, alerts_for: AlertsFor, metrics: ScriptedMetrics, webhook: WebhookReceiver
) -> None:
    """Fault 12: neither missing nor stale data, nor counters at 0, resolve what fires; good data do."""
    service = alerts_for(alerts_url)
    await service.start()
    await service.call("PUT", "/api/alerts/configuration", {"group_interval_seconds": 0})
    await service.set_webhook("hook", webhook.url)
    await service.set_rule(rule("Failing", no_data={"after_seconds": NO_DATA_SECONDS}))
    for operation in WITHOUT:
        metrics.set("performance.errors", 0.5, operation=operation)
    await eventually(lambda: len(told(webhook)) == 5, "all are told")

    metrics.forget("performance.errors", operation="absent")
    # The window has moved on from the last event, the series is still known.
    metrics.set("performance.errors", None, samples=0, operation="stale")
    metrics.set("performance.errors", 0.0, samples=0, operation="zeros")
    metrics.set("performance.errors", 0.0, samples=9, operation="few")
    metrics.set("performance.errors", None, operation="null")
    await until(lambda: _all_are(service, "no_data"), "it is known that nothing is known")
    lasted = await eventually(lambda: len(told(webhook)) >= 10, "that nothing is known is told")
    await stays(lambda: len(told(webhook)) == 10, "it is told once", seconds=1.5)
    states = await _states(service)
    for operation in WITHOUT:
        metrics.set("performance.errors", 0.0, operation=operation)
    await eventually(lambda: len(told(webhook)) >= 15, "that it is over is told")

    for operation in WITHOUT:
        assert of(told(webhook), "Failing", operation) == ["fired", "no_data", "resolved"]
    assert len(told(webhook)) == 15
    assert NO_DATA_SECONDS - 1.5 <= lasted < NO_DATA_SECONDS + 3
    assert states == dict.fromkeys(WITHOUT, "no_data")


async def _all_are(service: AlertsService, state: str) -> bool:
    return await _states(service) == dict.fromkeys(WITHOUT, state)


async def test_service_of_metrics_that_is_silent_and_starts_again_resolves_nothing(
    new_database: Callable[[], Awaitable[str]],
    alerts_url: str,
    alerts_for: AlertsFor,
    webhook: WebhookReceiver,
    service_for: Callable[..., Service],
    sender_for: Callable[[Service], windsock.MetricsCollector],
) -> None:
    """Fault 12: with no answer the state is unknown, which is told of the evaluation, once; with good data all resolves."""
    metrics = service_for(await new_database())
    await metrics.start()
    service = alerts_for(alerts_url, metrics_url=metrics.url, ALERTS_METRICS_TIMEOUT_SECONDS="1")
    await service.start()
    await service.set_webhook("hook", webhook.url)
    await service.set_rule(rule("Failing", warning=20.0, cooldown_seconds=0))
    sender = sender_for(metrics)
    for _ in range(20):
        sender.record_performance("chat", 10, status="error", error_type="refused")
    await webhook.until(1)

    metrics.pause()
    await webhook.until(2)
    silent = await _states(service)
    metrics.kill()
    await metrics.start()
    await webhook.until(3)
    await stays(lambda: len(webhook.received) == 3, "nothing else is told", seconds=1.0)
    again = await _states(service)
    for _ in range(200):
        sender.record_performance("chat", 10)
    await webhook.until(4)

    assert told(webhook) == [
        News("Failing", "chat", "fired"),
        News("EvaluationImpaired", "", "fired"),
        News("EvaluationImpaired", "", "resolved"),
        News("Failing", "chat", "resolved"),
    ]
    assert said(service) == told(webhook)
    assert (silent, again) == ({"chat": "error"}, {"chat": "firing"})
