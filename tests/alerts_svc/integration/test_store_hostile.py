"""Text that PostgreSQL cannot hold, and more of everything than usual."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from alerts_svc.domain.alert import Alert, Change, Decision, Incident, State
from alerts_svc.domain.severity import Severity
from alerts_svc.domain.world import Changes, Close, Evaluation, Group, Posted
from alerts_svc.ports import Lease, Refused, Sent
from alerts_svc.store.alerts import Alerts, Past
from alerts_svc.store.deliveries import Deliveries
from alerts_svc.store.evaluations import Evaluations
from alerts_svc.store.inbox import Inbox
from alerts_svc.store.leases import PostgresLeases
from alerts_svc.store.ledger import PostgresLedger
from tests.alerts_svc.contract_ledger import ALERT, LATER, TRANSITION, message

HOSTILE = "a\0b\ud800c\udfff<!channel>\r\nX: y\x1b[31m\u202e{{7*7}} %s $(x) \\u0000"
HELD = HOSTILE.translate({0: "\ufffd", 0xD800: "\ufffd", 0xDFFF: "\ufffd"})
LONG = HOSTILE + "x" * 1_000_000


async def acting(pool: Any) -> Lease:
    lease = await PostgresLeases(pool).campaign("first", ttl=600.0)
    assert lease is not None
    return lease


@pytest.mark.parametrize("text", [HOSTILE, LONG], ids=["hostile", "long"])
async def test_whatever_the_text_a_page_is_kept_and_due(pool: Any, text: str) -> None:
    lease, ledger = await acting(pool), PostgresLedger(pool)
    labels = {"alertname": text, text: "x"}
    page = replace(message("m", group=text, told="a1"), group_labels=labels, notice=text)
    changes = Changes(
        alerts=[replace(ALERT, labels=labels, rule=text, error=text)],
        transitions=[replace(TRANSITION, reason=text)],
        decisions=[Decision("a", "f1", 5.0, Change.FIRED, "held", f"mute:{text}")],
        messages=[page],
        groups=[Group(text, "t", 1.0)],
    )

    await ledger.commit(lease, changes, revision=lease.revision)
    [delivery] = await ledger.due("slack", own=LATER, limit=10)
    await ledger.begin_attempt(lease, delivery, own=1.0)
    await ledger.end_attempt(lease, delivery, Refused(text), own=1.0, next_at=None)
    await ledger.disable_channel(lease, "console", text)

    held = text.replace(HOSTILE, HELD)
    world = await ledger.load()
    assert delivery.message.notice == held
    assert delivery.message.group_labels == {"alertname": held, held: "x"}
    assert list(world.groups) == [held]
    assert world.alerts["f1"].labels["alertname"] == held
    assert world.channels["console"].disabled_reason == held


async def test_what_is_posted_may_hold_any_text(pool: Any) -> None:
    await Inbox(pool).put((Posted({"alertname": HOSTILE}, {}, 1.0, None, HOSTILE, 2.0),))
    await Inbox(pool).put(Close("a", HOSTILE))

    first, second = await PostgresLedger(pool).inbox(limit=10)

    assert isinstance(first.content, tuple)
    assert first.content[0].labels == {"alertname": HELD}
    assert second.content == Close("a", HELD)


async def test_whatever_is_asked_for_there_is_an_answer(pool: Any) -> None:
    alerts = Alerts(pool)

    assert await alerts.active(rules=[HOSTILE], labels={HOSTILE: HOSTILE}) == []
    assert await alerts.history(Past(0, 1, rules=[HOSTILE], before=(1.0, HOSTILE))) == []
    assert (await alerts.by_id(HOSTILE)).episode is None
    assert (await alerts.line(HOSTILE)).transitions == []
    assert await Deliveries(pool).list(channel=HOSTILE, incident=HOSTILE) == []
    assert await Evaluations(pool).of(HOSTILE, start=0, end=1, limit=1) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
async def test_a_value_that_json_has_no_word_for_is_no_value(pool: Any, value: float) -> None:
    lease, ledger = await acting(pool), PostgresLedger(pool)

    await ledger.commit(
        lease, Changes(alerts=[replace(ALERT, value=value)]), revision=lease.revision
    )

    assert (await ledger.load()).alerts["f1"].value is None


COUNT = 10_000
CHANNELS = ("console", "slack", "email")


def _alert(number: int) -> Alert:
    return Alert(
        fingerprint=f"{number:016x}",
        labels={"alertname": "Slow", "operation": f"operation-{number}", "environment": "live"},
        rule="Slow",
        annotations={"summary": "p95 latency is high"},
        state=State.FIRING,
        severity=Severity.WARNING,
        value=2.0,
        active_at=4.0,
        incident=Incident(f"{number:032x}", 5.0, 1, Severity.WARNING, channels=frozenset(CHANNELS)),
    )


async def test_ten_thousand_incidents_at_once_are_committed_and_told(pool: Any) -> None:
    lease, ledger = await acting(pool), PostgresLedger(pool)
    alerts = [_alert(number) for number in range(COUNT)]
    told = tuple((f"{number:032x}", 1) for number in range(COUNT))
    grouped = [replace(message(f"m-{name}", channel=name), told=told) for name in CHANNELS]
    paged = [
        replace(message(f"p-{n}", channel="pagerduty", group=f"g-{n}"), told=(told[n],))
        for n in range(COUNT)
    ]
    changes = Changes(
        alerts=alerts,
        transitions=[replace(TRANSITION, incident=i, fingerprint=i[16:]) for i, _ in told],
        decisions=[Decision(i, i[16:], 5.0, Change.FIRED, "told", "") for i, _ in told],
        messages=[*grouped, *paged],
        evaluation=Evaluation(5.0, [a.fingerprint for a in alerts], [2.0] * COUNT, [9.0] * COUNT),
    )

    await ledger.commit(lease, changes, revision=lease.revision)
    world = await ledger.load()
    assert len(world.alerts) == COUNT
    for channel in (*CHANNELS, "pagerduty"):
        [delivery] = await ledger.due(channel, own=LATER, limit=1)
        assert await ledger.next_due(channel) == float("-inf")
        await ledger.begin_attempt(lease, delivery, own=6.0)
        await ledger.end_attempt(lease, delivery, Sent(), own=6.0, next_at=None)
