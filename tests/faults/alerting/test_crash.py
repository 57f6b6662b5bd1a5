"""A process that dies between seeing a breach and having told of it: the next one tells, under the same id."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.alerts_svc.receivers import WebhookReceiver
from tests.faults.alerting.scripted_metrics import ScriptedMetrics
from tests.faults.alerting.service import AlertsService, rule

AlertsFor = Callable[..., AlertsService]


@pytest.mark.parametrize(
    ("place", "most"),
    [("ledger.commit:after:1", 1), ("webhook.send:after:1", 2)],
    ids=["decided", "sent"],
)
async def test_page_is_told_after_a_crash_and_resolves(
    alerts_url: str,
    alerts_for: AlertsFor,
    metrics: ScriptedMetrics,
    webhook: WebhookReceiver,
    place: str,
    most: int,
) -> None:
    service = alerts_for(alerts_url)
    await service.start()
    webhook.secrets = [await service.set_webhook("hook", webhook.url)]
    await service.set_rule(rule("Failing"))
    service.kill()

    metrics.set("performance.errors", 0.5, operation="chat")
    await service.start(crash=place)
    await service.died()
    await service.start()
    await webhook.until(most)
    metrics.set("performance.errors", 0.0, operation="chat")
    received = await webhook.until(most + 1)

    assert webhook.problems == []
    assert [one.json["status"] for one in received] == ["firing"] * most + ["resolved"]
    assert len({one.id for one in received}) == 2
    assert received[-1].json["alerts"][0]["labels"]["operation"] == "chat"
