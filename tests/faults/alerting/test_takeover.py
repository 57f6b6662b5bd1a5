"""Two replicas, of which the one that acts stands still or is cut off: the other takes over, and nobody hears anything twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.alerts_svc.receivers import WebhookReceiver, running
from tests.faults.alerting.scripted_metrics import ScriptedMetrics
from tests.faults.alerting.service import PATIENT, AlertsService, rule
from tests.faults.alerting.telling import News, eventually, of, stays, told
from tests.faults.fault_proxy import BlackHole, FaultProxy, fault_proxy
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
    owner.resume()
    await eventually(lambda: bool(owner.said("lease_lost")), "it knows that it does not act")
    await stays(lambda: len(webhook.received) == 2, "nothing else is told", seconds=3.0)

    assert lasted <= PROMISED_SECONDS
    assert told(webhook) == [News("Failing", name, "fired") for name in ("before", "during")]
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


# With a page decided, in the midst of a transaction, committed, and about to be sent.
PLACES = (
    "ledger.commit:before:1",
    "ledger.commit:during:1",
    "ledger.commit:after:1",
    "ledger.begin_attempt:after:1",
)


async def test_owner_that_wakes_up_in_the_midst_of_telling_sends_nothing_stale(
    new_alerts_database: Callable[[], Awaitable[str]],
    alerts_for: AlertsFor,
    metrics: ScriptedMetrics,
) -> None:
    """Fault 13: stopped with a page decided, committed or begun; the other one sends it, once, and its resolve."""
    async with AsyncExitStack() as stack:
        pairs = []
        for place in PLACES:
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


@dataclass
class CutPair:
    """An owner whose way to the store leads through a proxy, and another replica with its own."""

    proxy: FaultProxy
    owner: AlertsService
    other: AlertsService
    webhook: WebhookReceiver

    async def start(self) -> None:
        await self.owner.start()
        await until(lambda: acts(self.owner), "the first one acts")
        await self.other.start()
        await self.owner.set_webhook("hook", self.webhook.url)
        await self.owner.set_rule(rule("Failing"))

    async def until(self, count: int) -> float:
        return await eventually(lambda: len(told(self.webhook)) >= count, f"{count} are told")

    async def cut(self, how: str) -> None:
        if how == "silent":
            self.proxy.add(BlackHole(), "up")
            self.proxy.add(BlackHole(), "down")
        else:
            await self.proxy.down()

    async def mended(self) -> None:
        self.proxy.clear()
        self.proxy.cut()
        await self.proxy.up()
        await eventually(lambda: bool(self.owner.said("lease_lost")), "it knows of the other one")


async def test_owner_that_is_cut_off_from_the_store_is_replaced(
    new_alerts_database: Callable[[], Awaitable[str]],
    alerts_for: AlertsFor,
    metrics: ScriptedMetrics,
) -> None:
    """Fault 13: whether its connections are reset or lead nowhere; the other one tells what comes meanwhile."""
    async with AsyncExitStack() as stack:
        pairs = {}
        for how in ("silent", "reset"):
            url = await new_alerts_database()
            proxy, leading = await stack.enter_async_context(fault_proxy(url))
            receiver = await stack.enter_async_context(running(WebhookReceiver()))
            replicas = alerts_for(leading, **PATIENT), alerts_for(url, **PATIENT)
            pairs[how] = CutPair(proxy, *replicas, receiver)
        both = list(pairs.values())
        await asyncio.gather(*(pair.start() for pair in both))
        metrics.set("performance.errors", 0.5, operation="before")
        await asyncio.gather(*(pair.until(1) for pair in both))
        await asyncio.gather(*(written(pair.owner, 1) for pair in both))

        for how, pair in pairs.items():
            await pair.cut(how)
        metrics.set("performance.errors", 0.5, operation="during")
        metrics.set("performance.errors", 0.0, operation="before")
        lasted = await asyncio.gather(*(pair.until(3) for pair in both))
        await asyncio.gather(*(pair.mended() for pair in both))
        metrics.set("performance.errors", 0.0, operation="during")
        await asyncio.gather(*(pair.until(4) for pair in both))
        await asyncio.sleep(1.5)

        assert max(lasted) <= PROMISED_SECONDS
        for pair in both:
            for operation in ("before", "during"):
                assert of(told(pair.webhook), "Failing", operation) == ["fired", "resolved"]
            assert set(copies(pair.webhook)) == {1}
