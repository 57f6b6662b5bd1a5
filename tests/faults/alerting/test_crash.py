"""A process that dies between seeing a breach and having told of it: the next one tells, under the same id."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from tests.alerts_svc.receivers import WebhookReceiver, running
from tests.faults.alerting.scripted_metrics import ScriptedMetrics
from tests.faults.alerting.service import PATIENT, AlertsService, rule
from tests.faults.alerting.telling import eventually

AlertsFor = Callable[..., AlertsService]
# All that is called between a breach and a record that each of two channels has it, in order: the k-th call of each.
DECIDING = ["ledger.commit:1", "ledger.queues:1", "ledger.due:1", "ledger.due:2"]
SENDING = ["ledger.begin_attempt:1", "ledger.begin_attempt:2", "webhook.send:1", "console.send:1"]
RECORDING = ["ledger.end_attempt:1", "ledger.end_attempt:2"]
# What looks for the next thing to do, and changes nothing.
LOOKING = {"ledger.load", "ledger.inbox", "ledger.next_due", "leases.campaign"}
# Of these, nothing is left half done.
READING = {"ledger.queues", "ledger.due"}
NOWHERE = "nowhere"


@dataclass
class Case:
    """One process that is to die at one place, with a store and a receiver of its own."""

    place: str
    service: AlertsService
    receiver: WebhookReceiver

    async def begin(self) -> None:
        """Start it and tell it whom to tell of what."""
        await self.service.start(crash=self.place)
        self.receiver.secrets = [await self.service.set_webhook("hook", self.receiver.url)]
        await self.service.set_rule(rule("Failing"))

    async def restart(self) -> None:
        """Wait until it has died where it was to die, and start it as ever."""
        await self.service.died()
        await self.service.start()

    def copies(self, status: str) -> list[Counter[str]]:
        """Return for each channel how often it has got each message, by id."""
        hook = [one.id for one in self.receiver.received if one.json["status"] == status]
        lines = self.service.said("alert")
        console = [line["message_id"] for line in lines if line["status"] == status]
        return [Counter(hook), Counter(console)]

    async def until(self, status: str) -> float:
        """Wait until each channel has a message, and return when that was."""
        began = time.monotonic()
        while not all(self.copies(status)):
            assert time.monotonic() - began < 60, f"not told: {status}, dying at {self.place}"
            # Reading the console is work, and there are many of these.
            await asyncio.sleep(0.2)
        return time.monotonic()

    async def fires(self) -> list[int]:
        """Return for each incident of the rule how often its history says that it fired."""
        history = await self.service.call("GET", "/api/alerts/history?rule=Failing")
        return [
            [entry["outcome"] for entry in await self._entries(each["id"])].count("fired")
            for each in history["incidents"]
        ]

    def passed(self) -> list[str]:
        """Return the places it has passed, in order."""
        return [line["place"] for line in self.service.said("place_passed")]

    async def _entries(self, incident: str) -> list[dict[str, str]]:
        found = await self.service.call("GET", f"/api/alerts/{incident}/timeline")
        return [entry for entry in found["entries"] if entry["kind"] == "transition"]


Cases = Callable[[Sequence[str]], Awaitable[list[Case]]]


@pytest.fixture
async def cases(
    alerts_for: AlertsFor, new_alerts_database: Callable[[], Awaitable[str]]
) -> AsyncGenerator[Cases]:
    """Give a function that begins a case for each place."""
    async with AsyncExitStack() as stack:

        async def make(places: Sequence[str]) -> list[Case]:
            made = []
            for place in places:
                receiver = await stack.enter_async_context(running(WebhookReceiver()))
                service = alerts_for(await new_alerts_database(), **PATIENT)
                made.append(Case(place, service, receiver))
            await asyncio.gather(*(case.begin() for case in made))
            return made

        yield make


@pytest.mark.parametrize("calls", [DECIDING, SENDING, RECORDING], ids=["decide", "send", "record"])
async def test_killed_anywhere_it_tells_each_channel_once_or_twice_under_one_id(
    cases: Cases, metrics: ScriptedMetrics, calls: Sequence[str]
) -> None:
    """Fault 1: whatever was done when it died, each channel has the page, history one fire, and its end is told once."""
    places = [
        f"{name}:{moment}:{call}"
        for name, call in (each.split(":") for each in calls)
        for moment in ("before", "during", "after")
        if moment != "during" or name not in READING
    ]
    made = await cases(places)

    breached = time.monotonic()
    metrics.set("performance.errors", 0.5, samples=15, operation="chat")
    await asyncio.gather(*(case.restart() for case in made))
    told = await asyncio.gather(*(case.until("firing") for case in made))
    metrics.set("performance.errors", 0.0, samples=15, operation="chat")
    await asyncio.gather(*(case.until("resolved") for case in made))
    fires = await asyncio.gather(*(case.fires() for case in made))

    assert max(told) - breached < 60
    for case, fired in zip(made, fires, strict=True):
        for copies in case.copies("firing"):
            assert len(copies) == 1, case.place
            assert max(copies.values()) <= 2, case.place
        assert [sum(copies.values()) for copies in case.copies("resolved")] == [1, 1], case.place
        assert case.receiver.problems == [], case.place
        assert fired == [1], case.place


async def test_nothing_happens_between_breach_and_delivery_where_it_was_not_killed(
    cases: Cases, metrics: ScriptedMetrics
) -> None:
    """Fault 1: the places above are all there are."""
    [case] = await cases([NOWHERE])

    metrics.set("performance.errors", 0.5, samples=15, operation="chat")
    last = "ledger.end_attempt:after:2"
    await eventually(lambda: last in case.passed(), "all is recorded")

    passed = case.passed()[: case.passed().index(last)]
    names = [place.split(":")[0] for place in passed]
    assert set(names) - LOOKING == {call.split(":")[0] for call in DECIDING + SENDING + RECORDING}
