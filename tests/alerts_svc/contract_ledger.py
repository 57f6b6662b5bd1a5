"""What every store promises the one that acts: run against the one in memory and against PostgreSQL.

A test module of each store imports these tests and gives the fixture ``bench``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

import pytest

from alerts_svc.domain.alert import Alert, Change, Decision, Incident, State, Transition
from alerts_svc.domain.message import Message
from alerts_svc.domain.severity import Severity
from alerts_svc.domain.world import Acknowledge, Changes, Close, Evaluation, Group, Posted
from alerts_svc.ports import (
    ENOUGH_POSTED,
    Delivery,
    Lease,
    LeaseLostError,
    Leases,
    Ledger,
    Refused,
    Retry,
    Sent,
    StaleWorldError,
)

Content = tuple[Posted, ...] | Acknowledge | Close
TTL = 8.0
LATER = 1e12


class Bench(Protocol):
    """A store under test, with what its clock and its people do."""

    leases: Leases
    ledger: Ledger

    def replica(self) -> Leases:
        """Return the leases as another process has them."""
        ...

    async def pass_time(self, seconds: float) -> None:
        """Let the store's clock go on (or back); no monotonic clock does."""
        ...

    async def change_something(self) -> None:
        """Do what people do: change a silence."""
        ...

    async def put(self, content: Content) -> int:
        """Put something in the inbox."""
        ...

    async def statuses(self) -> dict[str, str]:
        """Return by message whether it is waiting, sent or failed."""
        ...


async def acting(bench: Bench) -> Lease:
    lease = await bench.leases.campaign("first", ttl=TTL)
    assert lease is not None
    return lease


def message(name: str, *, channel: str = "slack", group: str = "g", told: str = "") -> Message:
    """Return a message; ``told`` lists transitions as in ``a1 b2``."""
    pairs = tuple((pair[0], int(pair[1:])) for pair in told.split())
    return Message(
        id=name,
        channel=channel,
        group_key=group,
        group_labels={"alertname": "Slow"},
        thread="t",
        reason="first",
        created_at=1_790_000_000.0,
        severity=Severity.WARNING,
        status="firing",
        items=(),
        told=pairs,
    )


WAITING = Delivery(message("m"), 0, 0.0)
ALERT = Alert(
    fingerprint="f1",
    labels={"alertname": "Slow", "operation": "ask"},
    rule="Slow",
    annotations={"summary": "slow"},
    state=State.FIRING,
    severity=Severity.WARNING,
    value=2.0,
    threshold=1.0,
    samples=10.0,
    active_at=4.0,
    incident=Incident("a", 5.0, 1, Severity.WARNING, channels=frozenset({"slack", "console"})),
    updated_at=5.0,
)
TRANSITION = Transition("a", "f1", 1, Change.FIRED, 5.0, Severity.WARNING, 2.0, 1.0)


async def put(bench: Bench, lease: Lease, *messages: Message) -> None:
    await bench.ledger.commit(lease, Changes(messages=messages), revision=lease.revision)


async def ids(bench: Bench, channel: str = "slack", *, own: float = LATER) -> list[str]:
    return [d.message.id for d in await bench.ledger.due(channel, own=own, limit=10)]


async def only(bench: Bench, channel: str = "slack") -> Delivery:
    [delivery] = await bench.ledger.due(channel, own=LATER, limit=10)
    return delivery


# Leases


async def test_the_first_to_ask_acts_and_the_others_wait(bench: Bench) -> None:
    first = await bench.leases.campaign("first", ttl=TTL)
    second = await bench.replica().campaign("second", ttl=TTL)

    assert first is not None
    assert second is None


async def test_one_of_many_that_ask_at_once_acts(bench: Bench) -> None:
    asked = [bench.replica().campaign(f"replica-{n}", ttl=TTL) for n in range(5)]
    leases = await asyncio.gather(*asked)

    assert len([lease for lease in leases if lease]) == 1


async def test_renewing_keeps_the_fence_and_stores_the_owners_time(bench: Bench) -> None:
    first = await acting(bench)

    renewed = await bench.leases.campaign("first", ttl=TTL, own=first.own + 2.5)

    assert renewed is not None
    assert (renewed.fence, renewed.own) == (first.fence, first.own + 2.5)


async def test_renewing_never_sets_the_time_back(bench: Bench) -> None:
    first = await acting(bench)

    renewed = await bench.leases.campaign("first", ttl=TTL, own=first.own - 100)

    assert renewed is not None
    assert renewed.own == first.own


async def test_a_lease_that_ran_out_is_taken_with_a_greater_fence(bench: Bench) -> None:
    first = await acting(bench)
    await bench.pass_time(TTL + 1)

    second = await bench.replica().campaign("second", ttl=TTL)

    assert second is not None
    assert second.fence > first.fence
    assert second.own == pytest.approx(first.own + TTL + 1, abs=0.5)


async def test_time_does_not_go_back_with_the_stores_clock(bench: Bench) -> None:
    first = await acting(bench)
    await bench.pass_time(-3600)

    second = await bench.replica().campaign("second", ttl=TTL)

    assert second is not None
    assert second.own == pytest.approx(first.own, abs=0.5)


async def test_who_resigns_need_not_be_waited_for(bench: Bench) -> None:
    first = await acting(bench)
    await bench.leases.resign(first)

    second = await bench.replica().campaign("second", ttl=TTL)

    assert second is not None
    assert second.fence > first.fence


async def test_resigning_an_old_lease_leaves_the_new_one(bench: Bench) -> None:
    first = await acting(bench)
    await bench.pass_time(TTL + 1)
    assert await bench.replica().campaign("second", ttl=TTL)

    await bench.leases.resign(first)

    assert await bench.replica().campaign("third", ttl=TTL) is None


# Fences and revisions

Write = Callable[[Bench, Lease], Awaitable[None]]

WRITES: dict[str, Write] = {
    "commit": lambda bench, lease: bench.ledger.commit(
        lease, Changes(heartbeat_at=1.0), revision=lease.revision
    ),
    "begin": lambda bench, lease: bench.ledger.begin_attempt(lease, WAITING, own=1.0),
    "end": lambda bench, lease: bench.ledger.end_attempt(
        lease, WAITING, Sent(), own=1.0, next_at=None
    ),
    "fall_back": lambda bench, lease: bench.ledger.fall_back(lease, WAITING, [message("n")]),
    "disable": lambda bench, lease: bench.ledger.disable_channel(lease, "slack", "gone"),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_a_paused_owner_that_wakes_up_writes_nothing(bench: Bench, write: Write) -> None:
    old = await acting(bench)
    await put(bench, old, WAITING.message)
    await bench.pass_time(TTL + 1)
    assert await bench.replica().campaign("second", ttl=TTL)

    with pytest.raises(LeaseLostError):
        await write(bench, old)

    assert await bench.statuses() == {"m": "waiting"}
    assert (await bench.ledger.load()).heartbeat_at is None


async def test_what_people_changed_makes_a_decision_stale(bench: Bench) -> None:
    lease = await acting(bench)
    world = await bench.ledger.load()
    await bench.change_something()

    with pytest.raises(StaleWorldError):
        await bench.ledger.commit(lease, Changes(messages=[message("m")]), revision=world.revision)

    assert await bench.statuses() == {}
    assert (await bench.ledger.load()).revision > world.revision


async def test_a_lease_tells_the_revision(bench: Bench) -> None:
    await bench.change_something()

    lease = await acting(bench)

    assert lease.revision == (await bench.ledger.load()).revision


async def test_disabling_a_channel_makes_decisions_stale(bench: Bench) -> None:
    lease = await acting(bench)

    await bench.ledger.disable_channel(lease, "slack", "410 Gone")

    world = await bench.ledger.load()
    assert world.revision > lease.revision
    assert not world.channels["slack"].enabled
    assert world.channels["slack"].disabled_reason == "410 Gone"


# What a commit writes


async def test_what_was_committed_is_loaded_again(bench: Bench) -> None:
    lease = await acting(bench)
    group = Group("g", "thread", 7.0)

    await bench.ledger.commit(
        lease,
        Changes(alerts=[ALERT], groups=[group], heartbeat_at=9.0),
        revision=lease.revision,
    )

    world = await bench.ledger.load()
    assert world.alerts == {ALERT.fingerprint: ALERT}
    assert world.groups == {"g": group}
    assert world.heartbeat_at == 9.0


async def test_what_is_forgotten_is_gone(bench: Bench) -> None:
    lease = await acting(bench)
    first = Changes(alerts=[ALERT], groups=[Group("g", "thread", 7.0)])
    await bench.ledger.commit(lease, first, revision=lease.revision)

    second = Changes(forgotten=[ALERT.fingerprint], ended_groups=["g"])
    await bench.ledger.commit(lease, second, revision=lease.revision)

    world = await bench.ledger.load()
    assert world.alerts == {}
    assert world.groups == {}


async def test_what_is_committed_twice_is_written_once(bench: Bench) -> None:
    lease = await acting(bench)
    changes = Changes(
        alerts=[ALERT],
        transitions=[TRANSITION],
        decisions=[Decision("a", "f1", 5.0, Change.FIRED, "told", "slack")],
        messages=[message("m", told="a1")],
        evaluation=Evaluation(5.0, ["f1"], [2.0], [10.0]),
    )

    await bench.ledger.commit(lease, changes, revision=lease.revision)
    await bench.ledger.commit(lease, changes, revision=lease.revision)

    assert await ids(bench) == ["m"]
    assert (await bench.ledger.load()).alerts == {ALERT.fingerprint: ALERT}


async def test_a_transition_is_told_once_per_channel_whatever_the_message(bench: Bench) -> None:
    lease = await acting(bench)
    await put(bench, lease, message("m", told="a1 b1"))

    await put(
        bench,
        lease,
        message("again", told="a1"),
        message("further", group="h", told="c1"),
        message("elsewhere", channel="email", told="a1"),
    )

    assert await ids(bench) == ["m", "further"]
    assert await ids(bench, "email") == ["elsewhere"]


async def test_messages_that_tell_no_transition_are_told_by_their_id(bench: Bench) -> None:
    lease = await acting(bench)

    await put(bench, lease, message("m1", group="g1"), message("m2", group="g2"))
    await put(bench, lease, message("m1", group="g1"))

    assert await ids(bench) == ["m1", "m2"]


async def test_commands_wait_until_a_commit_consumes_them(bench: Bench) -> None:
    lease = await acting(bench)
    posted = (Posted({"alertname": "x"}, {}, 1.0, None, "", 2.0),)
    contents: list[Content] = [posted, Acknowledge("a", "ann", 60.0), Close("a", "ann")]
    numbers = [await bench.put(content) for content in contents]

    waiting = await bench.ledger.inbox(limit=10)
    await bench.ledger.commit(lease, Changes(consumed=numbers[:2]), revision=lease.revision)
    left = await bench.ledger.inbox(limit=10)

    assert [(command.id, command.content) for command in waiting] == list(
        zip(numbers, contents, strict=True)
    )
    assert [command.id for command in left] == numbers[2:]


async def test_the_oldest_commands_come_first(bench: Bench) -> None:
    numbers = [await bench.put(Close("a", f"user-{n}")) for n in range(5)]

    assert [command.id for command in await bench.ledger.inbox(limit=2)] == numbers[:2]


async def test_so_many_alerts_are_given_at_once_that_a_tick_does_not_take_too_long(
    bench: Bench,
) -> None:
    posted = (Posted({"alertname": "x"}, {}, 1.0, None, "", 2.0),) * (ENOUGH_POSTED - 1)
    numbers = [await bench.put(posted) for _ in range(3)]

    waiting = await bench.ledger.inbox(limit=10)

    assert [command.id for command in waiting] == numbers[:2]


# The outbox


async def test_what_was_just_committed_is_due(bench: Bench) -> None:
    lease = await acting(bench)
    await put(bench, lease, message("m"))

    [delivery] = await bench.ledger.due("slack", own=lease.own, limit=10)

    assert delivery.message == message("m")
    assert delivery.attempts == 0
    assert delivery.since == lease.own
    assert await bench.ledger.queues() == ["slack"]


async def test_a_message_waits_for_an_earlier_one_of_its_group(bench: Bench) -> None:
    lease = await acting(bench)
    await put(bench, lease, message("m1", group="g", told="a1"), message("m2", group="g"))
    await put(bench, lease, message("m3", group="h", told="b1"))

    assert await ids(bench) == ["m1", "m3"]


async def test_a_message_waits_for_an_earlier_one_about_its_incident(bench: Bench) -> None:
    lease = await acting(bench)
    await put(bench, lease, message("m1", group="g", told="a1"))
    await put(bench, lease, message("m2", group="h", told="a2 b1"))
    await put(bench, lease, message("m3", group="i", told="b2"))

    assert await ids(bench) == ["m1"]


async def test_what_is_critical_goes_first_unless_it_waits_itself(bench: Bench) -> None:
    lease = await acting(bench)
    await put(bench, lease, message("m1", group="g"), message("m2", group="h"))
    await put(bench, lease, replace(message("m3", group="g"), severity=Severity.CRITICAL))
    await put(bench, lease, replace(message("m4", group="i"), severity=Severity.CRITICAL))

    assert await ids(bench) == ["m4", "m1", "m2"]


async def test_messages_of_one_group_with_queues_of_their_own_do_not_wait(bench: Bench) -> None:
    lease = await acting(bench)
    await put(bench, lease, replace(message("m1", told="a1"), queue="a"))
    await put(bench, lease, replace(message("m2", told="b1"), queue="b"))
    await put(bench, lease, replace(message("m3"), queue="a"))

    assert await ids(bench) == ["m1", "m2"]


async def test_other_channels_do_not_wait(bench: Bench) -> None:
    lease = await acting(bench)
    await put(bench, lease, message("m1", told="a1"), message("m2", channel="email", told="a1"))

    assert await ids(bench, "email") == ["m2"]


async def test_the_next_one_is_free_once_the_first_was_sent(bench: Bench) -> None:
    lease = await acting(bench)
    await put(bench, lease, message("m1", told="a1"), message("m2", told="a2"))
    first = await only(bench)

    await bench.ledger.begin_attempt(lease, first, own=1.0)
    await bench.ledger.end_attempt(lease, first, Sent(200), own=2.0, next_at=None)

    assert await ids(bench) == ["m2"]
    assert await bench.statuses() == {"m1": "sent", "m2": "waiting"}


async def test_the_next_one_waits_while_the_first_is_tried_again(bench: Bench) -> None:
    lease = await acting(bench)
    await put(bench, lease, message("m1", told="a1"), message("m2", told="a2"))
    first = await only(bench)

    await bench.ledger.begin_attempt(lease, first, own=1.0)
    await bench.ledger.end_attempt(lease, first, Retry("500", 500), own=2.0, next_at=50.0)

    assert await ids(bench, own=49.0) == []
    assert await bench.ledger.next_due("slack") == 50.0
    [again] = await bench.ledger.due("slack", own=50.0, limit=10)
    assert (again.message.id, again.attempts) == ("m1", 1)


async def test_a_refusal_is_final(bench: Bench) -> None:
    lease = await acting(bench)
    await put(bench, lease, message("m"))
    delivery = await only(bench)

    await bench.ledger.begin_attempt(lease, delivery, own=1.0)
    await bench.ledger.end_attempt(lease, delivery, Refused("404", 404), own=2.0, next_at=None)

    assert await ids(bench) == []
    assert await bench.ledger.next_due("slack") is None
    assert await bench.ledger.queues() == []
    assert await bench.statuses() == {"m": "failed"}


async def test_an_attempt_that_nobody_ended_is_made_again(bench: Bench) -> None:
    lease = await acting(bench)
    await put(bench, lease, message("m"))
    await bench.ledger.begin_attempt(lease, await only(bench), own=1.0)

    await bench.pass_time(TTL + 1)
    second = await bench.replica().campaign("second", ttl=TTL)
    assert second is not None
    again = await only(bench)
    await bench.ledger.begin_attempt(second, again, own=2.0)
    await bench.ledger.end_attempt(second, again, Sent(), own=3.0, next_at=None)

    assert again.attempts == 1
    assert await bench.statuses() == {"m": "sent"}


async def test_falling_back_gives_up_and_tells_elsewhere_at_once(bench: Bench) -> None:
    lease = await acting(bench)
    await put(bench, lease, message("m", told="a1"), message("n", channel="console", told="a1"))
    delivery = await only(bench)
    await bench.ledger.begin_attempt(lease, delivery, own=1.0)
    await bench.ledger.end_attempt(lease, delivery, Refused("404"), own=2.0, next_at=2.0)
    instead = message("instead", channel="console", group="h")

    await bench.ledger.fall_back(lease, delivery, [instead])
    await bench.ledger.fall_back(lease, delivery, [instead])

    assert await ids(bench) == []
    assert await ids(bench, "console") == ["n", "instead"]
    assert await bench.statuses() == {"m": "failed", "n": "waiting", "instead": "waiting"}


async def test_no_more_than_the_limit_is_due(bench: Bench) -> None:
    lease = await acting(bench)
    await put(bench, lease, *(message(f"m{n}", group=f"g{n}", told=f"{n}1") for n in range(9)))

    found = await bench.ledger.due("slack", own=LATER, limit=3)

    assert [delivery.message.id for delivery in found] == ["m0", "m1", "m2"]


async def test_a_queue_that_is_empty_has_nothing_due(bench: Bench) -> None:
    assert await ids(bench) == []
    assert await bench.ledger.next_due("slack") is None
