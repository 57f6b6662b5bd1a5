"""Clocks are set, hours are left out or come twice: timers go on, and people hear neither everything again nor nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import asyncpg
import pytest
import pytest_asyncio

from alerts_svc.domain.configuration import Configuration, MuteWindow
from tests.alerts_svc.receivers import WebhookReceiver
from tests.alerts_svc.scene import Scene
from tests.faults.alerting.clocks import Clock
from tests.faults.alerting.scripted_metrics import ScriptedMetrics
from tests.faults.alerting.service import PATIENT, AlertsService, rule
from tests.faults.alerting.telling import eventually, of, stays, told
from tests.fixtures.debian import NotObtainableError
from tests.fixtures.servers import RunningPostgres, in_memory, server_folder

AlertsFor = Callable[..., AlertsService]
HOUR = 3_600
COOLDOWN_SECONDS, FOR_SECONDS = 4.0, 3.0
BREACH, FINE = 0.5, 0.0


@pytest.fixture
def clock() -> Iterator[Clock]:
    with server_folder() as folder:
        try:
            yield Clock(folder)
        except NotObtainableError as error:
            pytest.skip(f"libfaketime: {error}")


@pytest_asyncio.fixture
async def clocked_url(clock: Clock) -> AsyncGenerator[str]:
    """Give a database whose server goes by ``clock``."""
    with server_folder(in_memory()) as folder:
        server = RunningPostgres(folder, clock.environment)
        try:
            await server.start()
            yield await server.new_alerts_database("alerts")
        finally:
            server.stop()


async def _configure(service: AlertsService, webhook: WebhookReceiver) -> str:
    """Let a repeat be due after an hour, and a fire again after the cooldown."""
    configuration = {"group_interval_seconds": 0, "repeat_seconds": HOUR}
    await service.call("PUT", "/api/alerts/configuration", configuration)
    await service.set_rule(rule("Failing", cooldown_seconds=COOLDOWN_SECONDS))
    await service.set_rule(rule("Lasting", warning=99.0, for_seconds=FOR_SECONDS))
    return await service.set_webhook("hook", webhook.url)


async def _live_through(
    clock: Clock,
    metrics: ScriptedMetrics,
    webhook: WebhookReceiver,
    now: Callable[[], Awaitable[float]],
) -> float:
    """Set the clock in every way while alerts fire, cool down, wait and resolve.

    Return by how much ``now`` was ahead of the true time when the clock was ahead by an hour.
    """

    def operation(name: str, value: float) -> None:
        metrics.set("performance.errors", value, operation=name)

    async def count(number: int, what: str) -> float:
        return await eventually(lambda: len(told(webhook)) == number, what)

    operation("flapping", BREACH)
    await count(1, "the first fire is told")
    clock.set(HOUR)
    operation("flapping", FINE)
    await count(2, "its resolve is told")
    operation("flapping", BREACH)
    operation("pending", 1.0)
    # One rule tells of it at once, the other one waits.
    await count(3, "what is new is told with the clock ahead")
    ahead = await now() - time.time()
    clock.set(-HOUR)
    await count(5, "the one that cools down and the one that waits are told")
    operation("late", BREACH)
    assert await count(6, "what is new is told with the clock behind") < 5
    for step in (300, -300) * 4:
        clock.set(step)
        await asyncio.sleep(0.2)
    operation("jittered", BREACH)
    assert await count(7, "what is new is told after all that") < 5
    for name in ("flapping", "pending", "late", "jittered"):
        operation(name, FINE)
    await count(12, "all resolves are told")
    await stays(lambda: len(told(webhook)) == 12, "nothing else is told", seconds=1.5)
    return ahead


def _fires(webhook: WebhookReceiver, rule_name: str, operation: str) -> list[float]:
    """Return when it was told that an alert fired, on the monotonic clock."""
    return [
        one.at
        for one in webhook.received
        for alert, own in zip(one.json["alerts"], one.json["windsock"]["alerts"], strict=True)
        if own["change"] == "fired"
        and alert["labels"]["alertname"] == rule_name
        and alert["labels"]["operation"] == operation
    ]


def _check(webhook: WebhookReceiver) -> None:
    twice = ["fired", "resolved"] * 2
    assert of(told(webhook), "Failing", "flapping") == twice
    for name in ("pending", "late", "jittered"):
        assert of(told(webhook), "Failing", name) == ["fired", "resolved"]
    assert of(told(webhook), "Lasting", "pending") == ["fired", "resolved"]
    first, second = _fires(webhook, "Failing", "flapping")
    assert COOLDOWN_SECONDS - 0.5 <= second - first <= COOLDOWN_SECONDS + 2.0
    (began,), (lasted,) = (_fires(webhook, name, "pending") for name in ("Failing", "Lasting"))
    assert FOR_SECONDS - 1.0 <= lasted - began <= FOR_SECONDS + 2.0
    for one in webhook.received:
        for alert in one.json["alerts"]:
            starts = datetime.fromisoformat(alert["startsAt"])
            ends = datetime.fromisoformat(alert["endsAt"])
            assert ends >= starts or alert["status"] == "firing"


async def test_clock_of_the_process_is_set(
    clock: Clock,
    alerts_url: str,
    alerts_for: AlertsFor,
    metrics: ScriptedMetrics,
    webhook: WebhookReceiver,
) -> None:
    """Fault 14: timers are right to one evaluation, every message is told once, times and signatures are the true ones."""
    service = alerts_for(alerts_url, **PATIENT, **clock.environment)
    await service.start()
    webhook.secrets = [await _configure(service, webhook)]

    async def now() -> float:
        found = await service.call("GET", "/api/alerts/summary")
        return datetime.fromisoformat(found["timestamp"]).timestamp()

    ahead = await _live_through(clock, metrics, webhook, now)

    _check(webhook)
    assert abs(ahead) < 60
    logged = [datetime.fromisoformat(one["timestamp"]) for one in service.said("incident_changed")]
    assert (max(logged) - min(logged)).total_seconds() > 1.9 * HOUR
    assert webhook.problems == []
    for one in webhook.received:
        for alert in one.json["alerts"]:
            starts = datetime.fromisoformat(alert["startsAt"]).timestamp()
            assert one.wall - 60 < starts <= one.wall + 1


async def test_clock_of_the_store_is_set(
    clock: Clock,
    clocked_url: str,
    alerts_for: AlertsFor,
    metrics: ScriptedMetrics,
    webhook: WebhookReceiver,
) -> None:
    """Fault 14: with two replicas, whose lease ends by that clock; still every message is told once."""
    services = [alerts_for(clocked_url, **PATIENT) for _ in range(2)]
    await asyncio.gather(*(service.start() for service in services))
    await _configure(services[0], webhook)

    connection = await asyncpg.connect(clocked_url)

    async def now() -> float:
        found: float = await connection.fetchval("SELECT extract(epoch FROM now())::float8")
        return found

    ahead = await _live_through(clock, metrics, webhook, now)
    await connection.close()

    _check(webhook)
    assert abs(ahead - HOUR) < 60
    assert len({one.id for one in webhook.received}) == len(webhook.received)


@pytest.mark.parametrize(
    ("night", "hours"),
    [
        # The hour from two to three is left out, comes twice, and a day is put in.
        ("2027-03-27T23:00", 7.0),
        ("2027-10-30T23:00", 9.0),
        ("2028-02-28T23:00", 8.0),
        ("2028-02-29T23:00", 8.0),
    ],
)
def test_muted_night_ends_when_the_clocks_of_the_place_say_so(night: str, hours: float) -> None:
    """Fault 14: whatever the length of the night, what fires in it is told at seven in the morning, once."""
    window = MuteWindow("nights", (), frozenset(range(7)), 22 * 60, 7 * 60, "Europe/Berlin")
    scene = Scene(configuration=Configuration(mute_windows=(window,)))
    scene.own = begin = datetime.fromisoformat(night).replace(tzinfo=BERLIN).timestamp()
    scene.fires("chat")
    told_at: list[float] = []
    for _ in range(10 * 60):
        told_at.extend(scene.own for m in scene.tick().messages if m.channel == "slack")
        scene.after(60.0)

    assert told_at == [begin + hours * HOUR]
    assert datetime.fromtimestamp(told_at[0], BERLIN).strftime("%H:%M") == "07:00"


BERLIN = ZoneInfo("Europe/Berlin")
