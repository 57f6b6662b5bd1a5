"""Incidents, timelines, deliveries, evaluations, and what is forgotten of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from alerts_svc.domain.alert import Alert, Change, Decision, Incident, State, Transition
from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.domain.message import ChangeEvent, Item
from alerts_svc.domain.severity import Severity
from alerts_svc.domain.silence import Silence
from alerts_svc.domain.world import Changes, Evaluation, joined
from alerts_svc.ports import Lease, Refused, Retry, Sent
from alerts_svc.store.alerts import Alerts, Past
from alerts_svc.store.changes import ChangeEvents
from alerts_svc.store.channels import Channels
from alerts_svc.store.deliveries import Deliveries
from alerts_svc.store.evaluations import Evaluations
from alerts_svc.store.leases import PostgresLeases
from alerts_svc.store.ledger import PostgresLedger
from alerts_svc.store.retention import HISTORY, MEASURED, Retention
from alerts_svc.store.silences import Silences
from tests.alerts_svc.contract_ledger import LATER, message
from windsock_kit.errors import ConflictError, NotFoundError

EVER = Past(start=-1e12, end=1e12)


class Acting:
    """The one that acts, which commits whatever a test hands it."""

    def __init__(self, pool: Any, lease: Lease) -> None:
        self.lease = lease
        self.ledger = PostgresLedger(pool)

    async def commit(self, changes: Changes) -> None:
        revision = (await self.ledger.load()).revision
        await self.ledger.commit(self.lease, changes, revision=revision)


@pytest_asyncio.fixture
async def actor(pool: Any) -> Acting:
    await Channels(pool).create(Channel("slack", Kind.SLACK, {"url": "https://x.example"}))
    lease = await PostgresLeases(pool).campaign("first", ttl=600.0)
    assert lease is not None
    return Acting(pool, lease)


def firing(name: str, at: float, severity: Severity = Severity.WARNING) -> Alert:
    """Return an alert that fires since ``at``; its incident is named like it."""
    return Alert(
        fingerprint=f"f-{name}",
        labels={"alertname": "Slow", "operation": name},
        rule="Slow",
        state=State.FIRING,
        severity=severity,
        value=2.0,
        active_at=at,
        incident=Incident(name, at, 1, severity),
        updated_at=at,
    )


def fired(alert: Alert) -> Changes:
    incident = alert.incident
    assert incident is not None
    transition = Transition(
        *(incident.id, alert.fingerprint, 1, Change.FIRED, incident.started_at, incident.severity)
    )
    return Changes(alerts=[alert], transitions=[transition])


def resolved(alert: Alert, at: float) -> Changes:
    incident = alert.incident
    assert incident is not None
    transition = Transition(
        *(incident.id, alert.fingerprint, 2, Change.RESOLVED, at, None), reason="clear"
    )
    return Changes(
        alerts=[replace(alert, state=State.INACTIVE, severity=None, active_at=None, incident=None)],
        transitions=[transition],
    )


async def names(pool: Any, past: Past) -> list[str]:
    return [episode.id for episode in await Alerts(pool).history(past)]


async def test_what_came_and_went_in_one_commit_is_in_the_history_with_its_labels(
    pool: Any, actor: Acting
) -> None:
    alert = firing("a", 1.0)
    both = joined(fired(alert), resolved(alert, 1.0))
    await actor.commit(joined(both, Changes(forgotten=[alert.fingerprint])))

    found = await Alerts(pool).by_id("a")

    assert found.alert is None
    assert found.episode is not None
    assert found.episode.labels == alert.labels
    assert found.episode.rule == alert.rule


async def test_what_is_active_is_told_newest_first(pool: Any, actor: Acting) -> None:
    await actor.commit(fired(firing("a", 1.0)))
    await actor.commit(fired(firing("b", 2.0, Severity.CRITICAL)))
    pending = replace(firing("c", 3.0), state=State.PENDING, incident=None)
    await actor.commit(Changes(alerts=[pending]))
    await actor.commit(resolved(firing("d", 4.0), 5.0))

    alerts = Alerts(pool)
    found = await alerts.active()

    assert [alert.labels["operation"] for alert in found] == ["c", "b", "a"]
    assert found[2] == firing("a", 1.0)
    assert len(await alerts.active(states=[State.PENDING])) == 1
    assert len(await alerts.active(severity="critical")) == 1
    assert len(await alerts.active(rules=["Other"])) == 0
    assert len(await alerts.active(labels={"operation": "a"})) == 1
    assert len(await alerts.active(limit=2)) == 2
    assert await alerts.counts() == {
        (State.FIRING, Severity.WARNING): 1,
        (State.FIRING, Severity.CRITICAL): 1,
        (State.PENDING, Severity.WARNING): 1,
    }


async def test_history_keeps_an_incident_after_its_end(pool: Any, actor: Acting) -> None:
    alert = firing("a", 1.0)
    await actor.commit(fired(alert))
    await actor.commit(
        Changes(
            alerts=[alert],
            transitions=[Transition("a", "f-a", 2, Change.ESCALATED, 2.0, Severity.CRITICAL)],
        )
    )
    await actor.commit(resolved(alert, 9.0))

    [episode] = await Alerts(pool).history(EVER)

    assert (episode.started_at, episode.ended_at, episode.end_reason) == (1.0, 9.0, "clear")
    assert episode.severity is Severity.CRITICAL
    assert episode.labels == alert.labels
    assert (await Alerts(pool).by_id("a")).episode == episode
    assert (await Alerts(pool).by_id("f-a")).episode == episode


async def test_an_id_is_of_an_incident_or_of_an_alert(pool: Any, actor: Acting) -> None:
    first, second = firing("a", 1.0), replace(firing("b", 5.0), fingerprint="f-a")
    await actor.commit(fired(first))
    await actor.commit(resolved(first, 2.0))
    await actor.commit(fired(second))
    alerts = Alerts(pool)

    by_incident, by_fingerprint = await alerts.by_id("b"), await alerts.by_id("f-a")
    earlier, unknown = await alerts.by_id("a"), await alerts.by_id("x")

    assert by_incident == by_fingerprint
    assert by_incident.alert == second
    assert earlier.alert == second
    assert earlier.episode is not None
    assert earlier.episode.ended_at == 2.0
    assert (unknown.alert, unknown.episode) == (None, None)


async def test_history_is_chosen_by_time_rule_severity_and_labels(pool: Any, actor: Acting) -> None:
    for number, name in enumerate("abc"):
        alert = firing(name, number * 10.0)
        await actor.commit(fired(alert))
        if name != "c":
            await actor.commit(resolved(alert, number * 10.0 + 5))

    assert await names(pool, EVER) == ["c", "b", "a"]
    assert await names(pool, replace(EVER, start=6.0, end=20.0)) == ["b"]
    assert await names(pool, replace(EVER, start=500.0)) == ["c"]
    assert await names(pool, replace(EVER, labels={"operation": "b"})) == ["b"]
    assert await names(pool, replace(EVER, rules=["Other"])) == []
    assert await names(pool, replace(EVER, severity="critical")) == []
    assert await names(pool, replace(EVER, before=(20.0, "c"), limit=1)) == ["b"]


async def test_a_timeline_has_every_step_and_decision(pool: Any, actor: Acting) -> None:
    alert = firing("a", 1.0)
    decisions = [
        Decision("a", "f-a", 1.0, Change.FIRED, "held", "silence:s1"),
        Decision("a", "f-a", 2.0, Change.FIRED, "told", ""),
    ]
    await actor.commit(replace(fired(alert), decisions=decisions))
    await actor.commit(resolved(alert, 9.0))

    line = await Alerts(pool).line("a")

    assert [step.change for step in line.transitions] == [Change.FIRED, Change.RESOLVED]
    assert line.transitions[1].reason == "clear"
    assert line.decisions == decisions


async def attempted(actor: Acting, own: float, result: Any, next_at: float | None) -> None:
    """Make one attempt at what is first in the queue."""
    [delivery] = await actor.ledger.due("slack", own=LATER, limit=1)
    await actor.ledger.begin_attempt(actor.lease, delivery, own=own)
    await actor.ledger.end_attempt(actor.lease, delivery, result, own=own + 0.5, next_at=next_at)


async def test_a_delivery_is_told_with_every_attempt(pool: Any, actor: Acting) -> None:
    await actor.commit(Changes(messages=[message("m", told="a1")]))
    await attempted(actor, 1.0, Retry("server error", 500), 3.0)
    await attempted(actor, 3.0, Retry("cut off", unknown=True), 5.0)
    await attempted(actor, 5.0, Sent(200), None)

    [found] = await Deliveries(pool).of_incident("a")

    assert (found.status, found.attempts, found.finished_at) == ("sent", 3, 5.5)
    assert [(t.number, t.outcome, t.status, t.next_at) for t in found.tries] == [
        (1, "retry", 500, 3.0),
        (2, "unknown", None, 5.0),
        (3, "sent", 200, None),
    ]
    assert found == await Deliveries(pool).get(found.id)
    assert found.message == message("m", told="a1")


async def test_deliveries_are_chosen_by_channel_status_and_incident(
    pool: Any, actor: Acting
) -> None:
    await actor.commit(Changes(messages=[message("m", told="a1")]))
    await attempted(actor, 1.0, Sent(), None)
    item = Item("a", 1, None, "f-a", {}, {}, Severity.WARNING, 1.0)
    instead = replace(message("i", channel="console"), items=(item,))
    await actor.commit(
        Changes(messages=[message("n", told="b1"), message("o", channel="email"), instead])
    )
    deliveries = Deliveries(pool)

    async def chosen(**wanted: Any) -> list[str]:
        return [found.message.id for found in await deliveries.list(**wanted)]

    assert await chosen() == ["i", "o", "n", "m"]
    assert await chosen(channel="slack") == ["n", "m"]
    assert await chosen(status="waiting") == ["i", "o", "n"]
    assert await chosen(incident="a") == ["i", "m"]
    assert await chosen(incident="a", channel="slack", status="sent") == ["m"]
    [last] = await deliveries.list(limit=1)
    assert await chosen(before=last.id, limit=1) == ["o"]


@pytest.mark.parametrize("result", [Sent(200), Refused("404", 404)], ids=["sent", "failed"])
async def test_a_replay_sends_the_same_message_again(
    pool: Any, actor: Acting, result: Sent | Refused
) -> None:
    await actor.commit(Changes(messages=[message("m", told="a1")]))
    await attempted(actor, 1.0, result, None)
    [ended] = await Deliveries(pool).list()

    replayed = await Deliveries(pool).replay(ended.id, by="ann")
    await attempted(actor, 9.0, Sent(200), None)

    assert (replayed.status, replayed.message) == ("waiting", ended.message)
    assert replayed.since >= actor.lease.own
    found = await Deliveries(pool).get(ended.id)
    assert found.status == "sent"
    assert [(t.number, t.outcome) for t in found.tries][1:] == [(2, "replay"), (3, "sent")]
    assert found.tries[1].reason == "ann"


async def test_what_waits_or_has_no_channel_is_not_replayed(pool: Any, actor: Acting) -> None:
    await actor.commit(Changes(messages=[message("m")]))
    [waiting] = await Deliveries(pool).list()
    with pytest.raises(ConflictError):
        await Deliveries(pool).replay(waiting.id)

    await Channels(pool).delete("slack")

    with pytest.raises(ConflictError):
        await Deliveries(pool).replay(waiting.id)
    with pytest.raises(NotFoundError):
        await Deliveries(pool).replay(waiting.id + 1)


async def test_evaluations_are_told_of_one_alert(pool: Any, actor: Acting) -> None:
    both, other_order, one = ["f1", "f2"], ["f2", "f1"], ["f2"]
    for at, fingerprints in ((1.0, both), (2.0, other_order), (3.0, one), (4.0, both)):
        values = [None if name == "f1" else at for name in fingerprints]
        samples = [10.0] * len(fingerprints)
        await actor.commit(Changes(evaluation=Evaluation(at, fingerprints, values, samples)))
    evaluations = Evaluations(pool)

    async def told(name: str, start: float, limit: int = 10) -> list[tuple[float, float | None]]:
        found = await evaluations.of(name, start=start, end=9.0, limit=limit)
        return [(measured.at, measured.value) for measured in found]

    assert await told("f2", 2.0) == [(2.0, 2.0), (3.0, 3.0), (4.0, 4.0)]
    assert await told("f1", 0.0) == [(1.0, None), (2.0, None), (4.0, None)]
    assert await told("f2", 0.0, limit=2) == [(3.0, 3.0), (4.0, 4.0)]
    assert await told("f", 0.0) == []
    assert await pool.fetchval("SELECT count(*) FROM alerts.evaluation_directories") == 2


async def test_values_beyond_single_precision_are_cut(pool: Any, actor: Acting) -> None:
    await actor.commit(Changes(evaluation=Evaluation(1.0, ["f1"], [1e308], [1e300])))

    [found] = await Evaluations(pool).of("f1", start=0.0, end=2.0, limit=1)

    assert found.value is not None
    assert 3e38 < found.value < float("inf")


async def test_the_past_is_forgotten_and_the_present_is_not(pool: Any, actor: Acting) -> None:
    old, still = firing("a", 1.0), firing("b", 2.0)
    decision = Decision("a", "f-a", 1.0, Change.FIRED, "told", "")
    await actor.commit(replace(fired(old), decisions=[decision]))
    await actor.commit(resolved(old, 5.0))
    await actor.commit(fired(still))
    early = replace(message("m", told="a1"), created_at=5.0)
    await actor.commit(
        Changes(messages=[early, replace(early, id="n", told=()), replace(early, id="o", told=())])
    )
    await attempted(actor, 1.0, Sent(), None)
    await attempted(actor, 2.0, Sent(), None)
    await Deliveries(pool).replay((await Deliveries(pool).list())[1].id)
    await Silences(pool).create(Silence("s1", (), 0.0, 5.0, "ann", ""))
    await ChangeEvents(pool).put(ChangeEvent("c", "flag", "x", "", "", 5.0))
    retention = Retention(pool)

    more = [await retention.forget(kind, 100.0) for kind in HISTORY]

    assert not any(more)
    assert await names(pool, EVER) == ["b"]
    assert (await Alerts(pool).line("a")).transitions == []
    assert (await Alerts(pool).line("a")).decisions == []
    assert [d.message.id for d in await Deliveries(pool).list()] == ["o", "n"]
    assert await pool.fetchval("SELECT count(*) FROM alerts.delivery_items") == 0
    assert await Silences(pool).all() == []
    assert await ChangeEvents(pool).between(0, 10, limit=10) == []


async def test_measurements_go_with_their_directories(pool: Any, actor: Acting) -> None:
    await actor.commit(Changes(evaluation=Evaluation(1.0, ["f1"], [1.0], [1.0])))
    await actor.commit(Changes(evaluation=Evaluation(2.0, ["f2"], [1.0], [1.0])))
    await pool.execute(
        "UPDATE alerts.evaluation_directories SET made_at = now() - interval '2 hours'"
    )
    await pool.execute("UPDATE alerts.evaluations SET at = extract(epoch FROM now()) WHERE at = 2")
    now = await pool.fetchval("SELECT extract(epoch FROM now())::float8")

    for kind in MEASURED:
        await Retention(pool).forget(kind, now - 60)

    left = await pool.fetch("SELECT fingerprints FROM alerts.evaluation_directories")
    assert [row["fingerprints"] for row in left] == ["f2"]
