"""What people were told, read from what receivers and the console have."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from tests.alerts_svc.receivers import HttpReceiver
from tests.faults.alerting.service import AlertsService


class News(NamedTuple):
    """One change of one alert in one message; ``subject`` is its operation, or what else tells it from others."""

    rule: str
    subject: str
    change: str


def told(receiver: HttpReceiver) -> list[News]:
    """Return what a receiver of webhooks has taken, each message once however often it came, in order."""
    bodies = {one.id: one.json for one in receiver.accepted}
    return [
        _news(alert["labels"], own["change"])
        for body in bodies.values()
        for alert, own in zip(body["alerts"], body["windsock"]["alerts"], strict=True)
        if own["change"] is not None
    ]


def said(service: AlertsService) -> list[News]:
    """Return what stands on the console, each message once, in order."""
    lines = {line["message_id"]: line for line in service.said("alert")}
    return [
        _news(alert["labels"], alert["change"])
        for line in lines.values()
        for alert in line["alerts"]
        if alert["change"] is not None
    ]


def of(news: Iterable[News], rule: str, subject: str | None = None) -> list[str]:
    """Return the changes of one rule, or of one of its alerts, in order."""
    return [one.change for one in news if one.rule == rule and subject in (None, one.subject)]


def _news(labels: Mapping[str, Any], change: str) -> News:
    subject = labels.get("operation") or labels.get("target") or ""
    return News(labels["alertname"], subject, change)


async def eventually(true: Callable[[], bool], what: str, *, seconds: float = 20.0) -> float:
    """Wait until something holds, and return how long that took; fails by name when it does not in time."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def stays(true: Callable[[], bool], what: str, *, seconds: float) -> None:
    """Watch that something goes on to hold."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert true(), f"no longer: {what}"
        await asyncio.sleep(0.02)
