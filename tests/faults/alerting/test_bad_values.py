"""Values that are none, times that cannot be, posts out of order: told where they are wrong, or not taken for an answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson

from tests.alerts_svc.receivers import WebhookReceiver
from tests.faults.alerting.scripted_metrics import ScriptedMetrics
from tests.faults.alerting.service import AlertsService, rule
from tests.faults.alerting.telling import eventually, of, stays, told

AlertsFor = Callable[..., AlertsService]
RULES = "/api/alerts/rules"
POSTED = "/api/v2/alerts"


def with_condition(**changes: object) -> dict[str, Any]:
    given = rule("Wrong")
    return given | {"condition": given["condition"] | changes}


def labelled(**alert: object) -> list[dict[str, Any]]:
    return [{"labels": {"alertname": "Wrong"}, **alert}]


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


# What is sent, and where the answer must say that it is wrong; no path is for what is no JSON at all.
WRONG: list[tuple[str, str, Any, str]] = [
    ("POST", RULES, with_condition(warning="5"), "condition.warning"),
    ("POST", RULES, with_condition(warning=True), "condition.warning"),
    ("POST", RULES, with_condition(warning=None), "condition.warning"),
    ("POST", RULES, with_condition(scale=0), "condition.scale"),
    ("POST", RULES, with_condition(hysteresis=-1), "condition.hysteresis"),
    ("POST", RULES, with_condition(window_seconds=-60), "condition.window_seconds"),
    ("POST", RULES, with_condition(window_seconds=1e308), "condition.window_seconds"),
    ("POST", RULES, rule("Wrong", for_seconds=1e308), "for_seconds"),
    ("POST", RULES, rule("Wrong", for_seconds=-1), "for_seconds"),
    ("POST", RULES, rule("Wrong", min_samples=0), "min_samples"),
    ("POST", RULES, rule("Wrong", min_samples=1.5), "min_samples"),
    ("POST", RULES, rule("Wrong", no_data={"after_seconds": None}), "no_data.after_seconds"),
    ("POST", RULES, orjson.dumps(rule("Wrong")).replace(b"5.0", b"NaN"), ""),
    ("POST", RULES, orjson.dumps(rule("Wrong")).replace(b"5.0", b"Infinity"), ""),
    ("POST", RULES, orjson.dumps(rule("Wrong")).replace(b"5.0", b"1e999"), "condition.warning"),
    ("POST", POSTED, labelled(startsAt="soon"), "[0].startsAt"),
    ("POST", POSTED, labelled(startsAt=1_790_000_000), "[0].startsAt"),
    ("POST", POSTED, labelled(startsAt="1905-01-01T00:00:00Z"), "[0].startsAt"),
    ("POST", POSTED, labelled(startsAt="2026-02-30T00:00:00Z"), "[0].startsAt"),
    ("POST", POSTED, labelled(startsAt="2026-02-03T00:00:00"), "[0].startsAt"),
    ("POST", POSTED, labelled(startsAt=ago(5), endsAt=ago(50)), "[0].endsAt"),
    ("POST", POSTED, labelled(endsAt="10000-01-01T00:00:00Z"), "[0].endsAt"),
    ("POST", POSTED, [{"labels": {"alertname": 5}}], "[0].labels"),
    ("POST", POSTED, [{"labels": {"alertname": None}}], "[0].labels"),
    ("POST", POSTED, [{"labels": {}}], "[0].labels"),
    ("POST", POSTED, [None], "[0]"),
    ("POST", POSTED, b'[{"labels": {"alertname": NaN}}]', ""),
    ("GET", "/api/alerts?limit=-1", None, "limit"),
    ("GET", "/api/alerts?limit=1e9", None, "limit"),
    ("GET", "/api/alerts/history?from=NaN", None, "from"),
    ("GET", "/api/alerts/history?from=0001-01-01T00:00:00Z", None, "from"),
    ("GET", "/api/alerts/history?before=99999999999999999999", None, "before"),
]


async def test_what_is_wrong_is_refused_with_its_place(
    alerts_url: str, alerts_for: AlertsFor
) -> None:
    """Fault 17: never 500, and the field is named."""
    service = alerts_for(alerts_url)
    await service.start()

    unclear = []
    async with httpx.AsyncClient(base_url=service.url, timeout=10) as client:
        for method, path, body, place in WRONG:
            content = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
            answer = await client.request(method, path, content=content)
            if answer.status_code not in (400, 422) or place not in answer.text:
                unclear.append((path, content, answer.status_code, answer.text))
        names = {found["name"] for found in (await client.get(RULES)).json()["rules"]}

    assert unclear == []
    assert "Wrong" not in names


async def test_what_is_no_measurement_neither_fires_nor_resolves(
    alerts_url: str, alerts_for: AlertsFor, metrics: ScriptedMetrics, webhook: WebhookReceiver
) -> None:
    """Fault 17: too few samples, no value, and values that no float holds are lack of data."""
    service = alerts_for(alerts_url)
    await service.start()
    await service.set_webhook("hook", webhook.url)
    await service.set_rule(rule("Failing"))
    metrics.set("performance.errors", 0.5, operation="chat")
    await eventually(lambda: len(told(webhook)) == 1, "chat has fired")

    metrics.set("performance.errors", 1.0, samples=0, operation="none")
    metrics.set("performance.errors", 1.0, samples=1, operation="one")
    metrics.set("performance.errors", 1.0, samples=9, operation="nine")
    metrics.set("performance.errors", 1.0, samples=-100, operation="fewer than none")
    metrics.set("performance.errors", 1e308, operation="too large")
    metrics.set("performance.errors", -1e308, operation="too small")
    metrics.set("performance.errors", -1.0, operation="negative")
    metrics.set("performance.errors", 0.05, operation="equal")
    metrics.set("performance.errors", None, operation="chat")
    asked = metrics.asked
    await eventually(lambda: metrics.asked > asked + 4, "it was looked at again")
    states = await _states(service)
    tried = await service.call("POST", f"{RULES}/test", {"name": "Failing"})
    metrics.set("performance.errors", 0.0, operation="chat")
    await eventually(lambda: len(told(webhook)) == 2, "chat is over")

    assert states == {"chat": "no_data"}
    levels = {each["labels"]["operation"]: each["level"] for each in tried["groups"]}
    assert len(levels) == 9
    assert set(levels.values()) == {None}
    assert of(told(webhook), "Failing", "chat") == ["fired", "resolved"]
    assert len(told(webhook)) == 2


async def _states(service: AlertsService) -> dict[str, str]:
    found = (await service.call("GET", "/api/alerts?rule=Failing"))["alerts"]
    return {each["labels"]["operation"]: each["state"] for each in found}


# None of these is the value of a measure: the first three are not even JSON.
NO_VALUES = (b"NaN", b"-Infinity", b"\xff", b"1e999", b'"0.5"', b"[0.5]", b"{}", b"true")


async def test_answer_that_cannot_be_is_none(
    alerts_url: str, alerts_for: AlertsFor, metrics: ScriptedMetrics, webhook: WebhookReceiver
) -> None:
    """Fault 17: what metrics-svc says is not trusted; what fires goes on, its state unknown."""
    service = alerts_for(
        alerts_url, ALERTS_EVALUATION_INTERVAL_SECONDS="0.2", ALERTS_IMPAIRED_AFTER_SECONDS="60"
    )
    await service.start()
    await service.set_webhook("hook", webhook.url)
    await service.set_rule(rule("Failing"))
    metrics.set("performance.errors", 0.5, operation="chat")
    await eventually(lambda: len(told(webhook)) == 1, "chat has fired")

    states = []
    for value in NO_VALUES:
        metrics.replaced = {b"0.5": value}
        asked = metrics.asked
        await eventually(lambda: metrics.asked > asked + 2, f"it was told {value!r}")  # noqa: B023
        states.append(await _states(service))
    metrics.replaced = {}
    await eventually(lambda: metrics.asked > asked + 4, "it was told a value again")
    after = await _states(service)
    metrics.set("performance.errors", 0.0, operation="chat")
    await eventually(lambda: len(told(webhook)) == 2, "chat is over")

    assert states == [{"chat": "error"}] * len(NO_VALUES)
    assert after == {"chat": "firing"}
    assert of(told(webhook), "Failing") == ["fired", "resolved"]


async def test_posts_in_any_order_make_one_episode(
    alerts_url: str, alerts_for: AlertsFor, webhook: WebhookReceiver
) -> None:
    """Fault 17: copies are one alert, an end that is older than the fire ends nothing, times far off are taken."""
    service = alerts_for(alerts_url)
    await service.start()
    await service.set_webhook("hook", webhook.url)

    def alert(name: str, **times: str) -> dict[str, Any]:
        return {"labels": {"alertname": name, "operation": "chat"}, **times}

    fire = alert("Posted", startsAt=ago(60))
    await service.call("POST", POSTED, [fire, fire])
    await service.call("POST", POSTED, [fire])
    await webhook.until(1)
    await service.call("POST", POSTED, [alert("Posted", startsAt=ago(600), endsAt=ago(300))])
    await service.call("POST", POSTED, [alert("Unheard", startsAt=ago(600), endsAt=ago(300))])
    await service.call("POST", POSTED, [alert("Old", startsAt="1970-01-01T00:00:00Z")])
    await service.call("POST", POSTED, [alert("Future", startsAt="9999-12-31T23:59:59Z")])
    await service.call("POST", POSTED, [alert("Endless", endsAt="9999-12-31T23:59:59.999999Z")])
    await webhook.until(4)
    listed = {
        each["labels"]["alertname"]: each
        for each in (await service.call("GET", "/api/alerts"))["alerts"]
    }
    await stays(lambda: len(webhook.received) == 4, "nothing else is told", seconds=1.0)
    await service.call("POST", POSTED, [alert("Posted", startsAt=ago(60), endsAt=ago(0))])
    await eventually(lambda: len(told(webhook)) == 5, "it is over")

    assert of(told(webhook), "Posted") == ["fired", "resolved"]
    assert sorted(one.rule for one in told(webhook)[1:4]) == ["Endless", "Future", "Old"]
    assert {each["state"] for each in listed.values()} == {"firing"}
    assert listed["Posted"]["active_since"] > ago(90)
    assert listed["Future"]["active_since"] <= ago(0)
    ends = [
        alert["endsAt"] >= alert["startsAt"]
        for body in (one.json for one in webhook.received)
        for alert in body["alerts"]
        if alert["status"] == "resolved"
    ]
    assert ends == [True]
