"""An API that is abused: everything is refused in its bounds, and people are told in time meanwhile.

Keys, and how many requests one key may make, come with authentication.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from tests.alerts_svc.receivers import WebhookReceiver
from tests.faults.alerting import abusing
from tests.faults.alerting.abusing import MIB
from tests.faults.alerting.scripted_metrics import ScriptedMetrics
from tests.faults.alerting.service import AlertsService, rule
from tests.faults.alerting.telling import eventually, of, told

AlertsFor = Callable[..., AlertsService]
# Of a body the service holds at most 2 MiB as it was sent and as much decoded, and what it makes of that: of a list of
# nothing but braces, for example, 700,000 places.
CHUNK = 48 * MIB
# Twice what it takes undisturbed, on a machine that the attackers share with it.
IN_TIME = 5.0


async def test_each_bomb_is_refused_within_its_bounds(
    alerts_url: str, alerts_for: AlertsFor
) -> None:
    """Fault 20: bodies that inflate, nest, repeat or do not end."""
    service = alerts_for(alerts_url)
    await service.start()
    await service.call("GET", "/api/alerts")
    for request in (abusing.labels(64), abusing.labels(100)):
        await abusing.answered(service.port, abusing.post(abusing.POSTED, request))

    statuses, grown, took = {}, {}, {}
    loop = asyncio.get_running_loop()
    for name, request in abusing.bombs().items():
        before = abusing.memory(service.pid, "VmRSS")
        abusing.forget_peak(service.pid)
        began = loop.time()
        statuses[name] = await abusing.answered(service.port, request)
        took[name] = loop.time() - began
        grown[name] = abusing.memory(service.pid, "VmHWM") - before
    listed = await service.call("GET", "/api/alerts")

    assert {name: found for name, found in statuses.items() if found not in (400, 413, 422)} == {}
    assert {name: found for name, found in grown.items() if found > CHUNK} == {}
    assert {name: found for name, found in took.items() if found > IN_TIME} == {}
    # What has as many labels as are allowed is an alert.
    assert listed["total"] == 1


async def test_people_are_told_in_time_while_the_api_is_abused(
    alerts_url: str, alerts_for: AlertsFor, metrics: ScriptedMetrics, webhook: WebhookReceiver
) -> None:
    """Fault 20: all of it at once, for as long as it takes to tell of a breach and of its end."""
    service = alerts_for(alerts_url)
    await service.start()
    await service.set_webhook("hook", webhook.url)
    await service.set_rule(rule("Failing"))
    bombs = list(abusing.bombs().values())
    refused: Counter[int] = Counter()
    served: Counter[int] = Counter()
    before = abusing.memory(service.pid, "VmRSS")
    abusing.forget_peak(service.pid)

    attackers = [
        *(abusing.drip(service.port) for _ in range(100)),
        *(abusing.repeat(service.port, bombs[at:] + bombs[:at], refused) for at in (0, 5, 10)),
        *(
            abusing.hammer(service.port, abusing.get(path), served)
            for path in ("/livez", "/api/alerts", "/api/v2/alerts", "/api/alerts/rules")
        ),
    ]
    tasks = [asyncio.create_task(attacker) for attacker in attackers]
    try:
        await eventually(lambda: sum(served.values()) > 200, "it is being hammered")
        took = []
        for share, count in ((0.5, 1), (0.0, 2), (0.5, 3), (0.0, 4)):
            operation = f"chat{(count - 1) // 2}"
            metrics.set("performance.errors", share, operation=operation)
            took.append(await eventually(lambda: len(told(webhook)) == count, "it is told"))  # noqa: B023
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)

    peak = abusing.memory(service.pid, "VmHWM") - before
    assert max(took) < IN_TIME
    assert of(told(webhook), "Failing", "chat1") == ["fired", "resolved"]
    assert set(refused) <= {400, 413, 422}
    assert set(served) == {200}
    assert {type(one) for one in ended} == {asyncio.CancelledError}
    # Three at a time.
    assert peak < 3 * CHUNK
