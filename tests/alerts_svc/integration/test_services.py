"""Slack and PagerDuty, as far as their documented rules go, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from alerts_svc.domain.alert import Change
from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.domain.severity import Severity
from alerts_svc.notify.guard import Guard
from alerts_svc.notify.links import Links
from alerts_svc.notify.transports import make_transports
from alerts_svc.ports import Refused, Result, Retry, Sent, Transports
from tests.alerts_svc.messages import INCIDENT, ITEM, MESSAGE, NOW, RESOLVED, TEST, message
from tests.alerts_svc.receivers import PagerDutyReceiver, Reply, SlackReceiver, running

ATTACK = "<!channel> <http://x|y> & \x1b[31mred\x1b[0m\r\n\x00\ud800\u202e{{7*7}} %s $(id)"


@pytest_asyncio.fixture(scope="module")
async def transports() -> AsyncGenerator[Transports]:
    async with make_transports(
        guard=Guard("127.0.0.1"),
        links=Links("https://windsock.example", b"key"),
        timeout_seconds=0.7,
    ) as found:
        yield found


@pytest_asyncio.fixture
async def slack() -> AsyncGenerator[SlackReceiver]:
    async with running(SlackReceiver()) as receiver:
        yield receiver


@pytest_asyncio.fixture
async def pagerduty() -> AsyncGenerator[PagerDutyReceiver]:
    async with running(PagerDutyReceiver()) as receiver:
        yield receiver


def to_slack(receiver: SlackReceiver) -> Channel:
    return Channel("team", Kind.SLACK, {"url": receiver.url})


def to_pagerduty(receiver: PagerDutyReceiver) -> Channel:
    return Channel("duty", Kind.PAGERDUTY, {"url": receiver.url, "routing_key": "k" * 32})


@pytest.mark.parametrize("told", [MESSAGE, RESOLVED, TEST], ids=["fired", "resolved", "test"])
async def test_slack_takes_every_kind_of_message(
    transports: Transports, slack: SlackReceiver, told: Any
) -> None:
    assert await transports["slack"].send(to_slack(slack), told, wall=NOW) == Sent(200)
    assert slack.problems == []


async def test_slack_message_of_many_alerts_stays_within_its_limits(
    transports: Transports, slack: SlackReceiver
) -> None:
    items = tuple(
        replace(ITEM, incident=f"{number:032}", annotations={"summary": "& " * 2000})
        for number in range(100)
    )
    large = message(*items, truncated=9900, notice="<" * 4000)

    result = await transports["slack"].send(to_slack(slack), large, wall=NOW)

    assert result == Sent(200)
    body = slack.received[0].body
    assert len(body) < 20_000
    assert b"more" in body


async def test_slack_takes_a_message_with_an_address_that_grows_when_it_is_escaped(
    transports: Transports, slack: SlackReceiver
) -> None:
    item = replace(ITEM, annotations={"runbook_url": "https://x/" + "&" * 980})

    result = await transports["slack"].send(to_slack(slack), message(item), wall=NOW)

    assert result == Sent(200)
    assert b"|Dashboard>" in slack.received[0].body
    assert b"|Silence>" in slack.received[0].body


async def test_slack_is_told_hostile_texts_as_text(
    transports: Transports, slack: SlackReceiver
) -> None:
    item = replace(
        ITEM,
        labels={"alertname": ATTACK, "operation": ATTACK},
        annotations={"summary": ATTACK, "impact": ATTACK},
        actions=(ATTACK,),
    )

    result = await transports["slack"].send(
        to_slack(slack), message(item, group_labels={"a": ATTACK}), wall=NOW
    )

    assert result == Sent(200)
    body = slack.received[0].body.decode()
    assert "<!channel>" not in body
    assert "<http://x" not in body
    assert "&lt;!channel&gt;" in body
    assert not any(character in body for character in ("\\u001b", "\\u0000", "\u202e", "\\r"))


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(200, body=b"ok but no"), Refused("answered 200 with ok but no instead of ok", 200)),
        (Reply(200, body=b""), Refused("answered 200 with nothing instead of ok", 200)),
        (
            Reply(400, body=b"invalid_payload"),
            Refused("answered 400: invalid_payload", 400),
        ),
        (
            Reply(403, body=b"invalid_token"),
            Refused("answered 403: invalid_token", 403, gone=True),
        ),
        (Reply(403, body=b"<html>proxy"), Refused("answered 403: <html>proxy", 403)),
        (Reply(404, body=b"no_service"), Refused("answered 404: no_service", 404, gone=True)),
        (
            Reply(410, body=b"channel_is_archived"),
            Refused("answered 410: it is gone: channel_is_archived", 410, gone=True),
        ),
        (Reply(429, {"Retry-After": "30"}), Retry("answered 429", 429, 30.0)),
        (Reply(429, body=b'{"retry_after": 12.5}'), Retry("answered 429", 429, 12.5)),
        (Reply(500, body=b"rollup_error"), Retry("answered 500: rollup_error", 500)),
        (
            Reply(200, reset="middle"),
            Retry("answered 200, but the answer was cut off", 200, unknown=True),
        ),
    ],
    ids=lambda value: None if isinstance(value, Reply) else type(value).__name__,
)
async def test_answers_of_slack(
    transports: Transports, slack: SlackReceiver, reply: Reply, expected: Result
) -> None:
    slack.standing = reply

    assert await transports["slack"].send(to_slack(slack), MESSAGE, wall=NOW) == expected
    assert len(slack.received) == 1


async def test_slack_address_without_tls_is_refused_outside_of_the_list() -> None:
    async with make_transports(
        guard=Guard(), links=Links("https://windsock.example", b"key")
    ) as transports:
        channel = Channel("team", Kind.SLACK, {"url": "http://hooks.slack.example/services/x"})
        result = await transports["slack"].send(channel, MESSAGE, wall=NOW)

    assert isinstance(result, Refused)
    assert "https" in result.reason
    assert "services" not in result.reason


async def test_pagerduty_opens_acknowledges_and_resolves_one_incident(
    transports: Transports, pagerduty: PagerDutyReceiver
) -> None:
    channel = to_pagerduty(pagerduty)
    reminder = message(replace(ITEM, change=Change.REMINDER, sequence=2), reason="reminder")
    acknowledged = message(
        replace(ITEM, change=Change.ACKNOWLEDGED, sequence=3, acknowledged_by="ana"),
        reason="acknowledged",
    )

    results = [
        await transports["pagerduty"].send(channel, told, wall=NOW)
        for told in (MESSAGE, reminder, acknowledged, RESOLVED)
    ]

    assert results == [Sent(202)] * 4
    assert pagerduty.states == {INCIDENT: ["trigger", "trigger", "acknowledge", "resolve"]}
    event = pagerduty.received[0].json
    assert event["payload"]["severity"] == "critical"
    assert event["payload"]["source"] == "chat"
    assert event["payload"]["summary"] == "Too many errors of chat, 12.4 % (limit: above 10 %)"


async def test_pagerduty_test_leaves_nothing_open(
    transports: Transports, pagerduty: PagerDutyReceiver
) -> None:
    result = await transports["pagerduty"].send(to_pagerduty(pagerduty), TEST, wall=NOW)

    assert result == Sent(202)
    assert list(pagerduty.states.values()) == [["trigger", "resolve"]]


async def test_pagerduty_takes_hostile_and_endless_texts(
    transports: Transports, pagerduty: PagerDutyReceiver
) -> None:
    item = replace(
        ITEM,
        labels={f"{ATTACK}{number}": ATTACK * 40_000 for number in range(20)},
        annotations={f"a{number}": "x" * 1_000_000 for number in range(20)},
        actions=("y" * 1_000_000,) * 50,
        severity=Severity.WARNING,
    )

    result = await transports["pagerduty"].send(to_pagerduty(pagerduty), message(item), wall=NOW)

    assert result == Sent(202)
    assert pagerduty.problems == []


async def test_pagerduty_event_that_cannot_be_rendered_keeps_its_key(
    transports: Transports, pagerduty: PagerDutyReceiver
) -> None:
    broken = message(replace(ITEM, samples="many"))  # type: ignore[arg-type]

    result = await transports["pagerduty"].send(to_pagerduty(pagerduty), broken, wall=NOW)

    assert result == Sent(202)
    assert pagerduty.states == {INCIDENT: ["trigger"]}


@pytest.mark.parametrize(
    ("status", "kind"), [(400, Refused), (403, Refused), (429, Retry), (500, Retry)]
)
async def test_answers_of_pagerduty(
    transports: Transports, pagerduty: PagerDutyReceiver, status: int, kind: type
) -> None:
    pagerduty.standing = Reply(status, body=b"key " + b"k" * 32)

    result = await transports["pagerduty"].send(to_pagerduty(pagerduty), MESSAGE, wall=NOW)

    assert isinstance(result, kind)
    assert "k" * 32 not in repr(result)
