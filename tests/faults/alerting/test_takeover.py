"""Two replicas, of which the one that acts stands still or is cut off: the other takes over, and nobody hears anything twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.alerts_svc.receivers import WebhookReceiver, running
from tests.faults.alerting.fault_proxy import BlackHole, fault_proxy
from tests.faults.alerting.scripted_metrics import ScriptedMetrics
from tests.faults.alerting.service import PATIENT, AlertsService, rule
from tests.faults.alerting.telling import News, eventually, of, stays, told
from tests.faults.service import until

AlertsFor = Callable[..., AlertsService]
# What is promised at the settings that there are by default.
DEFAULTS = {"ALERTS_LEASE_SECONDS": "8", "ALERTS_EVALUATION_INTERVAL_SECONDS": "5"}
PROMISED_SECONDS = 15.0


async def acts(service: AlertsService) -> bool:
    found = await service.call("GET", "/api/alerts/summary")
    return bool(found["acting"]["this_process"])


async def written(service: AlertsService, count: int) -> None:
    """Wait until so many messages to the receiver are known to be delivered: what is not known is sent again."""

    async def known() -> bool:
        found = await service.call("GET", "/api/alerts/deliveries?channel=hook&status=sent")
        return len(found["deliveries"]) == count

    await until(known, f"{count} deliveries are written down")


def copies(webhook: WebhookReceiver) -> list[int]:
    """Return how often each message has come in."""
    return list(Counter(one.id for one in webhook.received).values())


async def test_owner_that_stands_still_is_replaced_within_the_promised_time(
    alerts_url: str, alerts_for: AlertsFor, metrics: ScriptedMetrics, webhook: WebhookReceiver
) -> None:
    """Fault 13: at the default lease; the one that wakes up tells nothing."""
    owner, other = (alerts_for(alerts_url, **PATIENT, **DEFAULTS) for _ in range(2))
    await owner.start()
    await until(lambda: acts(owner), "the first one acts")
    await other.start()
    webhook.secrets = [await owner.set_webhook("hook", webhook.url)]
    await owner.set_rule(rule("Failing"))
    metrics.set("performance.errors", 0.5, operation="before")
    await webhook.until(1)
    await written(owner, 1)

    owner.pause()
    metrics.set("performance.errors", 0.5, operation="during")
    lasted = await eventually(lambda: len(webhook.received) == 2, "the other one tells")
    metrics.set("performance.errors", 0.0, operation="before")
    metrics.set("performance.errors", 0.0, operation="during")
    await eventually(lambda: len(told(webhook)) == 4, "what is over is told")
    owner.resume()
    await eventually(lambda: bool(owner.said("lease_lost")), "it knows that it does not act")
    await stays(lambda: len(told(webhook)) == 4, "nothing else is told", seconds=3.0)

    assert lasted <= PROMISED_SECONDS
    for operation in ("before", "during"):
        assert of(told(webhook), "Failing", operation) == ["fired", "resolved"]
    assert set(copies(webhook)) == {1}
    assert webhook.problems == []
    assert [await acts(owner), await acts(other)] == [False, True]


@dataclass
class Pair:
    """An owner that stops itself at a place, and another replica."""

    place: str
    owner: AlertsService
    other: AlertsService
    webhook: WebhookReceiver

    async def start(self) -> None:
        await self.owner.start(crash=self.place)
        await until(lambda: acts(self.owner), "the first one acts")
        await self.owner.set_webhook("hook", self.webhook.url)
        await self.owner.set_rule(rule("Failing"))
        await self.other.start()

    def stands_still(self) -> bool:
        state = Path(f"/proc/{self.owner.pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state == "T"

    async def stopped(self) -> None:
        await eventually(self.stands_still, f"the owner stops at {self.place}")

    async def until(self, change: str) -> None:
        wanted = News("Failing", "chat", change)
        what = f"{change} is told after {self.place}"
        await eventually(lambda: wanted in told(self.webhook), what, seconds=30)


PLACES = {
    "decided": "ledger.commit:before:1",
    "in a transaction": "ledger.commit:during:1",
    "committed": "ledger.commit:after:1",
    "about to send": "ledger.begin_attempt:after:1",
}


async def test_owner_that_wakes_up_in_the_midst_of_telling_sends_nothing_stale(
    new_alerts_database: Callable[[], Awaitable[str]],
    alerts_for: AlertsFor,
    metrics: ScriptedMetrics,
) -> None:
    """Fault 13: stopped with a page decided, committed or begun; the other one sends it, once, and its resolve."""
    async with AsyncExitStack() as stack:
        pairs = []
        for place in PLACES.values():
            url = await new_alerts_database()
            receiver = await stack.enter_async_context(running(WebhookReceiver()))
            owner = alerts_for(url, **PATIENT, CRASH_SIGNAL="SIGSTOP")
            pairs.append(Pair(place, owner, alerts_for(url, **PATIENT), receiver))
        await asyncio.gather(*(pair.start() for pair in pairs))

        metrics.set("performance.errors", 0.5, operation="chat")
        await asyncio.gather(*(pair.stopped() for pair in pairs))
        await asyncio.gather(*(pair.until("fired") for pair in pairs))
        metrics.set("performance.errors", 0.0, operation="chat")
        await asyncio.gather(*(pair.until("resolved") for pair in pairs))
        for pair in pairs:
            pair.owner.resume()
        await asyncio.sleep(3.0)

        for pair in pairs:
            assert of(told(pair.webhook), "Failing", "chat") == ["fired", "resolved"], pair.place
            assert copies(pair.webhook) == [1, 1], pair.place
            assert [await acts(pair.owner), await acts(pair.other)] == [False, True], pair.place


@pytest.mark.parametrize("how", ["silence", "reset"])
async def test_owner_that_is_cut_off_from_the_store_is_replaced(
    alerts_url: str,
    alerts_for: AlertsFor,
    metrics: ScriptedMetrics,
    webhook: WebhookReceiver,
    how: str,
) -> None:
    """Fault 13: the other one tells what comes meanwhile, and goes on when the first one is back."""
    async with fault_proxy(alerts_url) as (proxy, leading):
        owner, other = alerts_for(leading, **PATIENT), alerts_for(alerts_url, **PATIENT)
        await owner.start()
        await until(lambda: acts(owner), "the first one acts")
        await other.start()
        await owner.set_webhook("hook", webhook.url)
        await owner.set_rule(rule("Failing"))
        metrics.set("performance.errors", 0.5, operation="before")
        await webhook.until(1)
        await written(owner, 1)

        if how == "silence":
            proxy.add(BlackHole(), "up")
            proxy.add(BlackHole(), "down")
        else:
            await proxy.down()
        metrics.set("performance.errors", 0.5, operation="during")
        metrics.set("performance.errors", 0.0, operation="before")
        lasted = await eventually(lambda: len(told(webhook)) == 3, "the other one tells")
        proxy.clear()
        proxy.cut()
        await proxy.up()
        await eventually(lambda: bool(owner.said("lease_lost")), "it knows that it does not act")
        metrics.set("performance.errors", 0.0, operation="during")
        await eventually(lambda: len(told(webhook)) == 4, "what is over is told")
        await stays(lambda: len(told(webhook)) == 4, "nothing else is told", seconds=2.0)

    assert lasted <= PROMISED_SECONDS
    for operation in ("before", "during"):
        assert of(told(webhook), "Failing", operation) == ["fired", "resolved"]
    assert set(copies(webhook)) == {1}
