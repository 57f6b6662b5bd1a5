"""Receivers that fail, ask for patience, or refuse: each message still comes to somebody, once, in order."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest_asyncio

from alerts_svc.domain.backoff import SCHEDULE, delay
from tests.alerts_svc.certificates import Authority
from tests.alerts_svc.receivers import (
    HttpReceiver,
    PagerDutyReceiver,
    Reply,
    SlackReceiver,
    WebhookReceiver,
    running,
)
from tests.faults.alerting.scripted_metrics import ScriptedMetrics
from tests.faults.alerting.service import PATIENT, AlertsService, rule
from tests.faults.alerting.telling import eventually, stays

AlertsFor = Callable[..., AlertsService]
Hook = Callable[[str], Awaitable[WebhookReceiver]]
# Enough for the rule of these tests, and too few for those that the service comes with.
FEW = 15


@pytest_asyncio.fixture
async def service(alerts_url: str, alerts_for: AlertsFor) -> AlertsService:
    """Give a service with one rule."""
    made = alerts_for(alerts_url, **PATIENT)
    await made.start()
    await made.set_rule(rule("Failing"))
    return made


@pytest_asyncio.fixture
async def hook(service: AlertsService) -> AsyncGenerator[Hook]:
    """Give a function that makes a receiver of webhooks, and the channel of its name."""
    async with AsyncExitStack() as stack:

        async def make(name: str) -> WebhookReceiver:
            receiver = await stack.enter_async_context(running(WebhookReceiver()))
            receiver.secrets = [await service.set_webhook(name, receiver.url)]
            return receiver

        yield make


async def deliveries(service: AlertsService, channel: str) -> list[dict[str, Any]]:
    """Return what was to go over a channel, oldest first, with each attempt."""
    listed = await service.call("GET", f"/api/alerts/deliveries?channel={channel}")
    numbers = sorted(each["id"] for each in listed["deliveries"])
    return [await service.call("GET", f"/api/alerts/deliveries/{number}") for number in numbers]


async def test_failing_receiver_gets_it_when_it_recovers_and_the_other_at_once(
    service: AlertsService, hook: Hook, metrics: ScriptedMetrics
) -> None:
    """Fault 5: ever longer pauses with jitter, one id, a new signature for each attempt, and nobody else waits."""
    failing, healthy = await hook("failing"), await hook("healthy")
    # Three failures are eight seconds; the schedule's start costs no more than two minutes in a minute's failure.
    failing.replies.extend([Reply(500)] * 3)

    metrics.set("performance.errors", 0.5, samples=FEW, operation="chat")
    attempts = await failing.until(4, 20)
    await stays(lambda: len(failing.received) == 4, "it is not told again", seconds=1.0)

    assert abs(healthy.received[0].at - attempts[0].at) < 1
    assert len(healthy.received) == 1
    assert [one.status for one in attempts] == [500, 500, 500, 204]
    assert len({one.id for one in attempts}) == 1
    assert failing.problems == []
    for one in attempts:
        assert abs(int(one.headers["webhook-timestamp"]) - one.wall) < 2
    assert len({one.headers["webhook-signature"] for one in attempts}) >= 3
    for number, (one, other) in enumerate(pairwise(attempts), start=1):
        wait = delay(one.id, number)
        assert wait != SCHEDULE[number - 1]
        assert wait - 0.05 < other.at - one.at < wait + 1.5
    [delivery] = await deliveries(service, "failing")
    assert delivery["status"] == "sent"
    assert [each["outcome"] for each in delivery["tries"]] == ["retry", "retry", "retry", "sent"]


async def test_receiver_that_asks_for_patience_gets_both_in_order_and_not_earlier(
    service: AlertsService, hook: Hook, metrics: ScriptedMetrics
) -> None:
    """Fault 6: Retry-After as seconds and as a date, for what clears meanwhile."""
    seconds, date, healthy = await hook("seconds"), await hook("date"), await hook("healthy")
    until = int(time.time()) + 7
    seconds.replies.append(Reply(429, {"Retry-After": "5"}))
    date.replies.append(Reply(429, {"Retry-After": formatdate(until, usegmt=True)}))

    metrics.set("performance.errors", 0.5, samples=FEW, operation="chat")
    for receiver in (seconds, date, healthy):
        await receiver.until(1)
    metrics.set("performance.errors", 0.0, samples=FEW, operation="chat")
    await healthy.until(2)
    early = time.time()
    for receiver in (seconds, date):
        await receiver.until(3, 20)

    first, *later = seconds.received
    assert early < until - 1
    assert min(one.at for one in later) - first.at >= 5
    assert min(one.wall for one in date.received[1:]) >= until
    for receiver in (seconds, date):
        assert [one.status for one in receiver.received] == [429, 204, 204]
        assert [one.json["status"] for one in receiver.received] == ["firing", "firing", "resolved"]
        assert receiver.received[0].id == receiver.received[1].id
        assert receiver.received[2].at - receiver.received[1].at < 2
        assert receiver.problems == []
    assert [one.json["status"] for one in healthy.received] == ["firing", "resolved"]


REFUSALS = {
    "bad-request": Reply(400, body=b"no such field"),
    "forbidden": Reply(403),
    "not-found": Reply(404),
    "gone": Reply(410),
}


async def refusing_channels(
    service: AlertsService, stack: AsyncExitStack, tls: ssl.SSLContext
) -> dict[str, HttpReceiver]:
    """Make a channel for each way to refuse a message for good, and return their receivers."""
    found: dict[str, HttpReceiver] = {}
    for name, reply in REFUSALS.items():
        found[name] = await stack.enter_async_context(running(WebhookReceiver(standing=reply)))
        await service.set_webhook(name, found[name].url)
    wrong = SlackReceiver(standing=Reply(200, body=b"invalid_payload"))
    slack = await stack.enter_async_context(running(wrong, tls=tls))
    rejecting = PagerDutyReceiver(standing=Reply(400, body=b'{"status":"invalid event"}'))
    pager = await stack.enter_async_context(running(rejecting, tls=tls))
    found |= {"slack": slack, "pager": pager}
    settings = {"slack": {}, "pager": {"routing_key": "k" * 32}}
    for name, kind in (("slack", "slack"), ("pager", "pagerduty")):
        body = {"name": name, "kind": kind, "settings": {"url": found[name].url, **settings[name]}}
        await service.call("POST", "/api/alerts/channels", body)
    return found


async def test_what_is_refused_for_good_is_told_elsewhere_and_not_tried_again(
    alerts_url: str, alerts_for: AlertsFor, metrics: ScriptedMetrics, tmp_path: Path
) -> None:
    """Fault 7: one attempt each, the reason, the fallback and the console; 410 ends a channel and is an alert itself."""
    authority = Authority()
    trusting = {"SSL_CERT_FILE": str(authority.bundle(tmp_path))}
    service = alerts_for(alerts_url, **PATIENT, **trusting)
    await service.start()
    async with AsyncExitStack() as stack:
        refusing = await refusing_channels(service, stack, authority.server("127.0.0.1"))
        spare = await stack.enter_async_context(running(WebhookReceiver()))
        spare.secrets = [await service.set_webhook("spare", spare.url)]
        routes = [
            {"name": "own", "matchers": ["alertname=ChannelFailing"], "channels": ["spare"]},
            {"name": "rest", "channels": list(refusing)},
        ]
        configuration = {"fallback": "spare", "routes": routes}
        await service.call("PUT", "/api/alerts/configuration", configuration)
        await service.set_rule(rule("Failing"))

        breached = time.monotonic()
        metrics.set("performance.errors", 0.5, samples=FEW, operation="chat")
        # A copy of each, and the alert of the channel that is gone.
        told = await spare.until(len(refusing) + 1, 30)
        await eventually(lambda: len(notices(service)) == len(refusing), "the console has them")
        counts = {name: len(receiver.received) for name, receiver in refusing.items()}
        # By now each would have been tried again.
        await stays(
            lambda: {name: len(each.received) for name, each in refusing.items()} == counts,
            "nobody is asked again",
            seconds=2.0,
        )
        given_up = {name: await deliveries(service, name) for name in refusing}
        gone = await service.call("GET", "/api/alerts/channels/gone")

        repaired = {"name": "gone", "kind": "webhook", "settings": {"url": refusing["gone"].url}}
        await service.call("PUT", "/api/alerts/channels/gone", repaired)
        await spare.until(len(refusing) + 2)

    assert counts == dict.fromkeys(refusing, 1)
    copies = [one.json for one in told if "notice" in one.json["windsock"]]
    reasons = {name: f"answered {reply.status}" for name, reply in REFUSALS.items()} | {
        "slack": "answered 200 with invalid_payload instead of ok",
        "pager": "answered 400",
    }
    for name, reason in reasons.items():
        [delivery] = given_up[name]
        assert delivery["status"] == "failed", name
        assert delivery["tries"][0]["outcome"] == "refused"
        assert reason in delivery["reason"]
        wanted = f"Not delivered on channel {name}: {delivery['reason']}"
        for places in ([body["windsock"]["notice"] for body in copies], notices(service)):
            assert [text for text in places if text.startswith(wanted)] == [wanted], name
    assert max(one.at for one in told) - breached < 20
    assert spare.problems == []
    meta = [one.json for one in spare.received if "notice" not in one.json["windsock"]]
    assert [body["status"] for body in meta] == ["firing", "resolved"]
    assert meta[0]["commonLabels"]["alertname"] == "ChannelFailing"
    assert meta[0]["commonLabels"]["channel"] == "gone"
    assert "answered 410" in gone["disabled_reason"]


def notices(service: AlertsService) -> list[str]:
    """Return what the console was told instead of other channels."""
    return [line["notice"] for line in service.said("alert") if "notice" in line]
