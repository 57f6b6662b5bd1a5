"""A value swings around its threshold, or lies on it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from alerts_svc.domain.assessment import assess
from alerts_svc.domain.reading import Finding, Reading
from alerts_svc.domain.rule import Comparison, Threshold
from alerts_svc.domain.severity import Severity
from tests.alerts_svc.receivers import Received, WebhookReceiver
from tests.alerts_svc.scene import RULE, Scene
from tests.faults.alerting.scripted_metrics import ScriptedMetrics
from tests.faults.alerting.service import AlertsService, rule
from tests.faults.alerting.telling import eventually, of, told

AlertsFor = Callable[..., AlertsService]
# Ten minutes of evaluations every five seconds.
EVALUATIONS = 120
COOLDOWN_SECONDS = 2.5


def _gauge(name: str, measure: str, **condition: object) -> dict[str, Any]:
    return {
        **rule(name, cooldown_seconds=COOLDOWN_SECONDS),
        "unit": "",
        "condition": {
            "type": "threshold",
            "measure": measure,
            "aggregation": "avg",
            "window_seconds": 60,
            "group_by": ["operation"],
            "comparison": ">",
            "warning": 5.0,
            **condition,
        },
    }


class Swings:
    """Is above the threshold and below it in turn, and counts how often it was asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def __iter__(self) -> Swings:
        return self

    def __next__(self) -> float:
        self.asked += 1
        return 6.0 if self.asked % 2 else 4.0


async def test_swinging_value_is_told_once_in_a_cooldown(
    alerts_url: str, alerts_for: AlertsFor, metrics: ScriptedMetrics, webhook: WebhookReceiver
) -> None:
    """Fault 15: each fire is followed by its resolve, the next one waits for the cooldown; with hysteresis there is one."""
    service = alerts_for(alerts_url, ALERTS_EVALUATION_INTERVAL_SECONDS="0.05")
    await service.start()
    await service.set_webhook("hook", webhook.url)
    await service.set_rule(_gauge("Swinging", "swinging.value"))
    await service.set_rule(_gauge("Steady", "steady.value", hysteresis=2.0))
    await service.set_rule(_gauge("Equal", "equal.value"))
    await service.set_rule(_gauge("Seven", "seven.ratio", warning=7.0, scale=100.0))
    metrics.set("equal.value", 5.0, operation="chat")
    metrics.set("seven.ratio", 7 / 100, operation="chat")
    metrics.set("steady.value", Swings(), operation="chat")
    swings = Swings()
    metrics.set("swinging.value", swings, operation="chat")
    await eventually(lambda: swings.asked >= EVALUATIONS, "the minutes pass", seconds=60)
    metrics.set("swinging.value", 4.0, operation="chat")
    metrics.set("steady.value", 3.0, operation="chat")
    await eventually(lambda: _is_over(webhook), "all that was told is over")

    fires = [one.at for one in webhook.received if _fires(one, "Swinging")]
    assert len(fires) >= 2
    for before, after in itertools.pairwise(fires):
        assert after - before >= COOLDOWN_SECONDS - 0.3
    assert of(told(webhook), "Swinging") == ["fired", "resolved"] * len(fires)
    assert of(told(webhook), "Steady") == ["fired", "resolved"]
    assert of(told(webhook), "Equal") + of(told(webhook), "Seven") == []


def _is_over(webhook: WebhookReceiver) -> bool:
    return all(of(told(webhook), name)[-1:] == ["resolved"] for name in ("Swinging", "Steady"))


def _fires(one: Received, name: str) -> bool:
    said: tuple[str, str] = (one.json["status"], one.json["commonLabels"]["alertname"])
    return said == ("firing", name)


def test_an_hour_of_swings_at_the_usual_pace_is_told_once_in_each_cooldown() -> None:
    """Fault 15: in ten minutes, evaluated each five seconds, there is one page; in an hour there are four."""
    scene = Scene()
    pages: list[tuple[float, str]] = []
    for evaluation in range(12 * 60):
        if evaluation % 2:
            scene.clears("chat")
        else:
            scene.fires("chat")
        told_now = (m for m in scene.tick().messages if m.channel == "slack")
        pages.extend((scene.own, message.status) for message in told_now)
        scene.after(5.0)

    statuses = [status for _, status in pages]
    fires = [at for at, status in pages if status == "firing"]
    assert statuses == ["firing", "resolved"] * len(fires)
    assert sum(at - fires[0] < 600 for at in fires) == 1
    assert [after - before for before, after in itertools.pairwise(fires)] == [
        pytest.approx(RULE.cooldown_seconds, abs=10.0)
    ] * 3


@pytest.mark.parametrize(
    ("value", "scale", "threshold"),
    [(0.05, 1.0, 0.05), (7 / 100, 100.0, 7.0), (0.1 + 0.2, 1.0, 0.3), (29 / 100, 100.0, 29.0)],
)
def test_value_on_its_threshold_is_not_above_it(
    value: float, scale: float, threshold: float
) -> None:
    """Fault 15: nor is it so after a conversion into percent, or a sum, that is not exact in binary."""
    assert isinstance(RULE.condition, Threshold)
    condition = replace(RULE.condition, warning=threshold, critical=None, scale=scale)
    found = {
        comparison: assess(
            replace(RULE, condition=replace(condition, comparison=comparison)),
            Reading((value,), 100),
            None,
        )
        for comparison in Comparison
    }

    levels = {name: one.level for name, one in found.items() if isinstance(one, Finding)}
    assert levels == {
        Comparison.ABOVE: None,
        Comparison.BELOW: None,
        Comparison.AT_LEAST: Severity.WARNING,
        Comparison.AT_MOST: Severity.WARNING,
    }
