"""Everything breaks at once: people are told in few messages, and what is worse comes through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

from tests.alerts_svc.receivers import (
    PagerDutyReceiver,
    Received,
    SlackReceiver,
    WebhookReceiver,
    running,
)
from tests.faults.alerting.abusing import MIB, forget_peak, memory
from tests.faults.alerting.scripted_metrics import ScriptedMetrics
from tests.faults.alerting.service import AlertsService, rule
from tests.faults.alerting.telling import eventually

AlertsFor = Callable[..., AlertsService]
INSTANCES = 10_000
OTHERS = 4
# Where real life has 120 s, with evaluations that are ten times as frequent.
IN_TIME = 12.0


def storm_rule(name: str, measure: str) -> dict[str, Any]:
    levels = {"type": "threshold", "measure": measure, "aggregation": "avg", "window_seconds": 60}
    limits = {"comparison": ">", "warning": 10.0, "critical": 100.0, "group_by": ["operation"]}
    told: dict[str, Any] = {"annotations": {"summary": f"{name} is too deep"}, "unit": "ms"}
    return rule(name, condition=levels | limits, **told)


def telling(found: Sequence[Received], text: str) -> list[Received]:
    return [one for one in found if text.encode() in one.body]


async def test_new_critical_comes_through_a_storm(
    alerts_url: str, alerts_for: AlertsFor, metrics: ScriptedMetrics
) -> None:
    """Fault 16: 10,000 warnings of one group, and a little later one critical in the same group."""
    service = alerts_for(alerts_url)
    await service.start()
    async with AsyncExitStack() as stack:
        slack = await stack.enter_async_context(running(SlackReceiver()))
        webhook = await stack.enter_async_context(running(WebhookReceiver()))
        pager = await stack.enter_async_context(running(PagerDutyReceiver()))
        for kind, settings in (
            ("slack", {"url": slack.url}),
            ("webhook", {"url": webhook.url}),
            ("pagerduty", {"url": pager.url, "routing_key": "0" * 32}),
        ):
            body = {"name": kind, "kind": kind, "settings": settings}
            await service.call("POST", "/api/alerts/channels", body)
        await service.set_rule(storm_rule("Storm", "storm.depth"))
        for number in range(OTHERS):
            await service.set_rule(storm_rule(f"Other{number}", f"other{number}.depth"))
        before = memory(service.pid, "VmRSS")
        forget_peak(service.pid)

        for number in range(INSTANCES):
            metrics.set("storm.depth", 50.0, operation=f"instance-{number:05}")
        for number in range(OTHERS):
            metrics.set(f"other{number}.depth", 50.0, operation="chat")
        await eventually(lambda: bool(telling(webhook.accepted, "Storm")), "the storm is told")
        await eventually(lambda: len(pager.accepted) > 20, "it is being paged")
        metrics.set("storm.depth", 500.0, operation="the-new-one")
        took = [
            await eventually(
                lambda: bool(telling(receiver.accepted, "the-new-one")),  # noqa: B023
                f"{type(receiver).__name__} hears of the critical",
            )
            for receiver in (slack, webhook, pager)
        ]
        await eventually(lambda: len(telling(slack.accepted, "Other")) == OTHERS, "so the others")

    storm = telling(webhook.accepted, "Storm")[0].json
    first = slack.received[0].at
    assert sum(took) < IN_TIME
    assert len(storm["alerts"]) + storm["truncatedAlerts"] == INSTANCES
    assert max(len(one.body) for one in webhook.accepted) <= 20_000
    assert max(len(one.json["blocks"]) for one in slack.accepted) <= 50
    assert "9999 more" in telling(slack.accepted, "Storm")[0].json["text"]
    assert len(slack.received) == OTHERS + 2
    # One a second; by how much this process is late for them itself, with so many answers to give, is not theirs.
    early = [one.at - first - number for number, one in enumerate(slack.received)]
    assert min(early) > -0.5
    assert (slack.problems, webhook.problems, pager.problems) == ([], [], [])
    assert memory(service.pid, "VmHWM") - before < 128 * MIB
