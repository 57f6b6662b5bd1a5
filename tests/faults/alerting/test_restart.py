"""A process that ends, by itself or by the kernel, while something pends, fires, or was just asked of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest_asyncio

from tests.alerts_svc.receivers import Received, WebhookReceiver, running
from tests.faults.alerting.scripted_metrics import ScriptedMetrics
from tests.faults.alerting.service import PATIENT, AlertsService, rule
from tests.faults.alerting.telling import eventually, stays
from tests.faults.service import until

AlertsFor = Callable[..., AlertsService]
CLEAN, KILLED = "clean", "killed"
# How long a message may take on a busy machine, from when it is to be told.
SLACK = 3.0
# Enough for the rule of these tests, and too few for those that the service comes with.
FEW = 15


@dataclass
class Watched:
    """A service with a store and a receiver of its own, whose one rule looks at one operation of its own."""

    service: AlertsService
    receiver: WebhookReceiver
    metrics: ScriptedMetrics
    operation: str

    async def begin(self, **changes: Any) -> None:
        """Start it, with one rule and one channel."""
        await self.service.start()
        self.receiver.secrets = [await self.service.set_webhook("hook", self.receiver.url)]
        made = rule("Failing", **changes)
        made["condition"]["filters"] = {"operation": self.operation}
        await self.service.set_rule(made)

    def breach(self) -> float:
        """Let the rule's condition hold, and return when."""
        self.metrics.set("performance.errors", 0.5, samples=FEW, operation=self.operation)
        return time.monotonic()

    def clear(self) -> None:
        """Let it hold no more."""
        self.metrics.set("performance.errors", 0.0, samples=FEW, operation=self.operation)

    async def stop(self, how: str) -> None:
        """End the process."""
        if how == CLEAN:
            await self.service.terminate()
        else:
            self.service.kill()

    async def restart(self) -> None:
        """Start it again, and wait until it acts and has looked twice."""
        before = len(self.service.said("lease_taken"))
        await self.service.start()
        await eventually(lambda: len(self.service.said("lease_taken")) > before, "it acts")
        asked = self.metrics.asked
        await eventually(lambda: self.metrics.asked >= asked + 6, "it has looked")

    async def alert(self) -> dict[str, Any]:
        """Return the one alert that is pending or fires."""
        listed = await self.service.call("GET", f"/api/alerts?operation={self.operation}")
        [found] = listed["alerts"]
        return dict(found)

    async def until_state(self, state: str) -> None:
        """Wait until the alert is in a state."""

        async def there() -> bool:
            listed = await self.service.call("GET", f"/api/alerts?operation={self.operation}")
            return [found["state"] for found in listed["alerts"]] == [state]

        await until(there, f"the alert is {state}")

    async def recorded(self) -> None:
        """Wait until the service knows that its receiver has all it was sent."""

        async def none_waits() -> bool:
            waiting = await self.service.call("GET", "/api/alerts/deliveries?status=waiting")
            return not waiting["deliveries"]

        await until(none_waits, "what was sent is recorded")

    def told(self) -> list[str]:
        """Return what the receiver was told, in order."""
        return [one.json["windsock"]["reason"] for one in self.receiver.received]


Begin = Callable[[str], Awaitable[Watched]]


@pytest_asyncio.fixture
async def watched(
    alerts_for: AlertsFor,
    metrics: ScriptedMetrics,
    new_alerts_database: Callable[[], Awaitable[str]],
) -> AsyncGenerator[Begin]:
    """Give a function that makes a service for an operation."""
    async with AsyncExitStack() as stack:

        async def make(operation: str) -> Watched:
            receiver = await stack.enter_async_context(running(WebhookReceiver()))
            service = alerts_for(await new_alerts_database(), **PATIENT)
            return Watched(service, receiver, metrics, operation)

        yield make


def starts(received: Received) -> str:
    """Return since when the one alert of a message fires."""
    [alert] = received.json["alerts"]
    return str(alert["startsAt"])


async def silenced(case: Watched, path: str, body: dict[str, object]) -> None:
    await case.begin()

    made = await case.service.call("POST", path, body)
    case.service.kill()
    case.breach()
    await case.restart()
    await case.until_state("firing")
    identity = made.get("id") or made["silenceID"]
    kept = await case.service.call("GET", f"/api/alerts/silences/{identity}")
    await stays(lambda: not case.told(), "nobody is told", seconds=1.0)
    console = case.service.said("alert")
    await case.service.call("DELETE", f"/api/alerts/silences/{identity}")
    await case.receiver.until(1)

    assert kept["state"] == "active"
    assert console == []
    assert case.told() == ["first"]


async def test_silence_that_was_taken_is_in_force_after_a_kill(watched: Begin) -> None:
    """Fault 2: nobody is told of what was silenced, however it was asked for; after its end somebody is."""
    body: dict[str, object] = {
        "matchers": [{"name": "alertname", "value": "Failing", "isRegex": False}],
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "2099-01-01T00:00:00Z",
        "createdBy": "ana",
        "comment": "deploying",
    }
    native: dict[str, object] = {
        "matchers": ["alertname=Failing"],
        "minutes": 60,
        "created_by": "ana",
        "comment": "deploying",
    }

    await asyncio.gather(
        silenced(await watched("native"), "/api/alerts/silences", native),
        silenced(await watched("alertmanager"), "/api/v2/silences", body),
    )


async def test_acknowledgement_that_was_taken_is_in_force_after_a_kill(watched: Begin) -> None:
    """Fault 2: nobody is reminded of what somebody has in hand; when it is given back, they are."""
    case = await watched("chat")
    await case.begin()
    configuration = {"repeat_seconds": 4.0, "group_interval_seconds": 0.0}
    await case.service.call("PUT", "/api/alerts/configuration", configuration)
    case.breach()
    [page] = await case.receiver.until(1)
    await case.recorded()
    incident = page.json["windsock"]["alerts"][0]["incident"]
    path = f"/api/alerts/{incident}/acknowledge"

    await case.service.call("POST", path, {"by": "ana", "minutes": 60, "comment": "on it"})
    case.service.kill()
    await case.restart()
    alert = await case.alert()
    due = page.at + 4.0 - time.monotonic()
    await stays(lambda: case.told() == ["first"], "nobody is reminded", seconds=max(due, 0) + 1.5)
    await case.service.call("DELETE", path)
    await case.receiver.until(2)

    assert alert["incident"]["acknowledged"]["by"] == "ana: on it"
    assert case.told() == ["first", "reminder"]


async def restarted_while_firing(case: Watched, how: str, cooldown: float) -> None:
    await case.begin(cooldown_seconds=cooldown)
    case.breach()
    [page] = await case.receiver.until(1)
    await case.recorded()

    await case.stop(how)
    await case.restart()
    still = case.told()
    await case.stop(how)
    case.clear()
    await case.restart()
    await case.receiver.until(2)
    await case.recorded()
    case.breach()
    await case.receiver.until(3, cooldown + 10)

    _, resolve, again = case.receiver.received
    assert still == ["first"]
    assert [one.json["status"] for one in case.receiver.received] == [
        "firing",
        "resolved",
        "firing",
    ]
    assert starts(resolve) == starts(page)
    assert starts(again) > starts(page)
    # It counts from when the page was decided on, a little before it arrived.
    assert again.at - page.at > cooldown - 1.0
    assert again.at - max(page.at + cooldown, resolve.at) < SLACK


async def test_restart_while_firing_tells_nothing_anew_and_forgets_nothing(watched: Begin) -> None:
    """Fault 3: no second fire, the same start, the resolve of what ended meanwhile, and the cooldown goes on."""
    cooldown = 8.0

    await asyncio.gather(
        restarted_while_firing(await watched("one"), CLEAN, cooldown),
        restarted_while_firing(await watched("other"), KILLED, cooldown),
    )


async def restarted_while_pending(case: Watched, how: str, *, hold: float, down: float) -> None:
    await case.begin(for_seconds=hold)
    breached = case.breach()
    await case.until_state("pending")

    await asyncio.sleep(breached + hold / 2 - time.monotonic())
    await case.stop(how)
    await asyncio.sleep(down)
    await case.service.start()
    # Until then the lease of one that was killed lasts.
    acts = time.monotonic() + (2.0 if how == KILLED else 0.0)
    [page] = await case.receiver.until(1, hold + 10)

    due = max(breached + hold, acts)
    assert page.at >= breached + hold
    assert page.at - due < SLACK, f"{how}, down for {down:g} s"


async def test_restart_while_pending_fires_when_it_would_have(watched: Begin) -> None:
    """Fault 4: the time it has held counts on, also while nobody looked; a fresh start of it would be seen."""
    # Half of it is more than a message may take.
    hold = 7.0

    await asyncio.gather(
        restarted_while_pending(await watched("one"), CLEAN, hold=hold, down=0.5),
        restarted_while_pending(await watched("other"), KILLED, hold=hold, down=0.5),
        restarted_while_pending(await watched("late"), KILLED, hold=hold, down=hold / 2 + 0.5),
    )
