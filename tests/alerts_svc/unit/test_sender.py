"""The sender: what is tried when, what is written down, and what becomes of what cannot be delivered."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest

from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.ports import Refused, Result, Retry, Sent
from tests.alerts_svc.sending import (
    HOOK,
    Bench,
    always,
    first,
    hanging,
    message,
)
from tests.alerts_svc.simulation.virtual import in_virtual_time

DAY = 24 * 3600.0


@in_virtual_time
async def test_what_is_due_is_sent_and_written_down() -> None:
    bench = Bench()
    bench.put(message(1))

    await bench.sender.run_once()

    assert bench.status(message(1)) == "delivered"
    [attempt] = bench.store.attempts
    assert attempt.result == Sent(200)


@in_virtual_time
async def test_a_later_message_of_an_incident_waits_for_the_earlier_one() -> None:
    bench = Bench()
    bench.answers["hook"] = first(Retry("500"), Sent(200), Retry("500"))
    bench.put(message(1), message(2), message(1, incident="other"))

    async with bench.sender.running():
        await asyncio.sleep(10.0)

    assert [told.told[0] for _, told in bench.sent if told.told[0][0] != "other"] == [
        message(1).told[0],
        message(1).told[0],
        message(1).told[0],
        message(2).told[0],
    ]
    assert bench.times("hook")[1] < 0.2


@in_virtual_time
async def test_failures_are_tried_again_ever_later_under_the_same_id() -> None:
    bench = Bench()
    bench.answers["hook"] = always(Retry("500", 500))
    bench.put(message(1))

    async with bench.sender.running():
        await asyncio.sleep(100.0)

    times = bench.times("hook")
    gaps = [after - before for before, after in itertools.pairwise(times)]
    for gap, nominal in zip(gaps, (1, 2, 5, 10, 20, 40), strict=True):
        assert 0.8 * nominal <= gap <= 1.2 * nominal + 0.1
    assert {told.id for _, told in bench.sent} == {message(1).id}


@pytest.mark.parametrize(("asked", "waited"), [(30.0, 30.0), (0.0, 0.8), (9_000.0, 3600.0)])
@in_virtual_time
async def test_a_receiver_that_asks_for_time_is_given_it(asked: float, waited: float) -> None:
    bench = Bench()
    bench.answers["chat"] = first(Retry("429", 429, after=asked))
    bench.put(message(1, "chat"), message(1, "chat", incident="other"))

    async with bench.sender.running():
        await asyncio.sleep(2 * waited + 10.0)

    begin, *rest = bench.times("chat")
    assert begin == 0.0
    assert waited <= min(rest) <= waited * 1.5 + 1.0
    assert bench.status(message(1, "chat")) == "delivered"


@in_virtual_time
async def test_a_channel_that_hangs_delays_no_other() -> None:
    bench = Bench()
    bench.answers["chat"] = hanging
    bench.put(message(1, "chat"), message(1, "hook"), message(1, "pager"))

    async with bench.sender.running():
        await asyncio.sleep(1.0)

        assert bench.status(message(1, "hook")) == "delivered"
        assert bench.status(message(1, "pager")) == "delivered"
        await asyncio.sleep(15.0)

    ended = next(one for one in bench.store.attempts if one.channel == "chat")
    assert ended.result == Retry("no answer in time", unknown=True)


@in_virtual_time
async def test_slack_is_told_one_message_a_second() -> None:
    bench = Bench()
    bench.put(*(message(1, "chat", incident=str(number)) for number in range(4)))

    async with bench.sender.running():
        await asyncio.sleep(5.0)

    assert bench.times("chat") == [0.0, 1.0, 2.0, 3.0]


@in_virtual_time
async def test_a_webhook_takes_four_messages_at_once() -> None:
    bench = Bench()
    bench.answers["hook"] = hanging
    bench.put(*(message(1, incident=str(number)) for number in range(10)))

    async with bench.sender.running(grace=0.0):
        await asyncio.sleep(10.0)

        assert bench.times("hook") == [0.0, 0.05, 0.1, 0.15]


@in_virtual_time
async def test_what_is_refused_is_told_to_the_fallback_and_the_console() -> None:
    bench = Bench(fallback="chat")
    bench.answers["hook"] = always(Refused("404 no_service", 404))
    bench.put(message(1))

    await bench.sender.run_once()
    await bench.sender.run_once()

    assert bench.status(message(1)) == "given_up"
    others = [told for _, told in bench.sent if told.channel != "hook"]
    assert {told.channel for told in others} == {"chat", "console"}
    assert {told.notice for told in others} == {"Not delivered on channel hook: 404 no_service"}
    assert len(bench.times("hook")) == 1


@in_virtual_time
async def test_a_channel_that_is_gone_is_disabled_and_the_rest_goes_elsewhere() -> None:
    bench = Bench()
    bench.answers["hook"] = always(Refused("410 gone", 410, gone=True))
    bench.put(message(1), message(2))

    async with bench.sender.running():
        await asyncio.sleep(10.0)

    assert bench.store.channels["hook"].disabled_reason == "410 gone"
    assert len(bench.times("hook")) == 1
    assert len(bench.times("console")) == 2
    assert bench.status(message(2)) == "given_up"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda bench: bench.store.remove_channel("hook"), "the channel was removed"),
        (
            lambda bench: bench.store.put_channel(replace(HOOK, enabled=False)),
            "the channel is disabled",
        ),
    ],
    ids=["removed", "disabled"],
)
@in_virtual_time
async def test_what_waits_for_a_channel_out_of_use_is_told_on_the_console(
    change: Callable[[Bench], None], why: str
) -> None:
    bench = Bench()
    bench.put(message(1))
    change(bench)

    async with bench.sender.running():
        await asyncio.sleep(1.0)

    [told] = [told for _, told in bench.sent]
    assert (told.channel, told.items) == ("console", message(1).items)
    assert told.notice == f"Not delivered on channel hook: {why}"


@in_virtual_time
async def test_a_world_that_is_older_than_the_lease_is_not_believed() -> None:
    bench = Bench()
    bench.keeper.lease = replace(bench.lease, revision=bench.store.revision + 1)
    bench.put(message(1, "unknown"))

    await bench.sender.run_once()

    assert bench.sent == []


@in_virtual_time
async def test_after_a_day_it_is_given_up() -> None:
    bench = Bench()
    bench.answers["hook"] = always(Retry("500 Internal Server Error", 500))
    bench.put(message(1))
    bench.store.outbox[message(1).id].since -= DAY - 60.0

    async with bench.sender.running():
        await asyncio.sleep(120.0)

    assert bench.status(message(1)) == "given_up"
    assert 30.0 < bench.times("hook")[-1] <= 60.0
    [told] = [told for _, told in bench.sent if told.channel == "console"]
    assert "given up after 6 attempts" in told.notice
    assert told.notice.endswith("the last: 500 Internal Server Error")


@in_virtual_time
async def test_a_heartbeat_that_fails_is_told_to_nobody() -> None:
    beat = replace(message(1, "beat"), reason="heartbeat", told=(), items=())
    bench = Bench(channels=(Channel("beat", Kind.HEARTBEAT),), fallback="chat")
    bench.answers["beat"] = always(Retry("500", 500))
    bench.put(beat)

    async with bench.sender.running():
        await asyncio.sleep(120.0)

    assert bench.status(beat) == "failed"
    assert {told.channel for _, told in bench.sent} == {"beat"}


@in_virtual_time
async def test_nothing_is_sent_without_the_lease() -> None:
    bench = Bench()
    bench.put(message(1))
    bench.keeper.lease = None

    async with bench.sender.running():
        await asyncio.sleep(5.0)
    await bench.sender.run_once()

    assert bench.sent == []
    assert bench.store.attempts == []


@in_virtual_time
async def test_nothing_is_sent_if_the_lease_ends_while_the_store_is_slow() -> None:
    async def slow(point: str) -> None:
        if point == "begin_attempt:after":
            await asyncio.sleep(10.0)
            bench.keeper.lease = None

    bench = Bench(points=slow)
    bench.put(message(1))

    await bench.sender.run_once()

    assert bench.sent == []


@in_virtual_time
async def test_nothing_is_sent_under_an_old_fence() -> None:
    bench = Bench()
    bench.put(message(1))
    row = bench.store.lease
    assert row is not None
    bench.store.lease = replace(row, owner="other", fence=row.fence + 1)

    await bench.sender.run_once()

    assert bench.sent == []
    assert bench.keeper.refused == [bench.lease]


@in_virtual_time
async def test_an_outcome_is_written_down_as_soon_as_the_store_is_back() -> None:
    async def away(point: str) -> None:
        if point == "end_attempt:before" and bench.time.monotonic() - bench.began < 30.0:
            raise ConnectionError

    bench = Bench(points=away)
    bench.put(message(1))

    async with bench.sender.running():
        await asyncio.sleep(60.0)

    assert bench.status(message(1)) == "delivered"
    assert len(bench.sent) == 1


@in_virtual_time
async def test_a_store_that_fails_does_not_end_the_sender() -> None:
    async def away(point: str) -> None:
        if bench.time.monotonic() - bench.began < 30.0:
            raise ConnectionError(point)

    bench = Bench(points=away)
    bench.put(message(1))

    async with bench.sender.running():
        await asyncio.sleep(40.0)

    assert bench.status(message(1)) == "delivered"


@in_virtual_time
async def test_a_fault_in_a_transport_is_an_attempt_that_failed() -> None:
    async def broken(_: object) -> Result:
        raise KeyError("x")

    bench = Bench()
    bench.answers["hook"] = broken
    bench.put(message(1))

    await bench.sender.run_once()

    [attempt] = bench.store.attempts
    assert attempt.result == Retry("a fault of our own: KeyError", unknown=True)
    assert bench.status(message(1)) == "pending"


@in_virtual_time
async def test_at_the_end_an_attempt_is_let_finish() -> None:
    async def slow(_: object) -> Result:
        await asyncio.sleep(5.0)
        return Sent(200)

    bench = Bench()
    bench.answers["hook"] = slow
    bench.put(message(1), message(2))

    async with bench.sender.running(grace=10.0):
        await asyncio.sleep(1.0)

    assert bench.status(message(1)) == "delivered"
    assert bench.status(message(2)) == "pending"


@in_virtual_time
async def test_at_the_end_an_attempt_that_hangs_is_cut_and_written_down() -> None:
    bench = Bench()
    bench.answers["hook"] = hanging
    bench.put(message(1))

    async with bench.sender.running(grace=2.0):
        await asyncio.sleep(1.0)

    assert bench.time.monotonic() - bench.began == pytest.approx(3.0, abs=0.1)
    [attempt] = bench.store.attempts
    assert attempt.result == Retry("no answer in time", unknown=True)


@in_virtual_time
async def test_what_nobody_told_of_is_found_all_the_same() -> None:
    bench = Bench()

    async with bench.sender.running():
        await asyncio.sleep(5.0)
        bench.put(message(1), wake=False)
        await asyncio.sleep(3.0)

    assert bench.status(message(1)) == "delivered"


@in_virtual_time
async def test_a_commit_is_sent_at_once() -> None:
    bench = Bench()

    async with bench.sender.running():
        await asyncio.sleep(5.3)
        bench.put(message(1))
        await asyncio.sleep(0.0)
        await asyncio.sleep(0.01)

    assert bench.times("hook") == [5.3]


@in_virtual_time
async def test_an_attempt_that_ends_while_the_store_answers_is_not_made_again() -> None:
    async def late(point: str) -> None:
        if point == "due:after":
            await asyncio.sleep(0.1)

    async def slow(_: object) -> Result:
        await asyncio.sleep(0.08)
        return Sent(200)

    bench = Bench(points=late)
    bench.answers["hook"] = slow
    bench.put(message(1))

    async with bench.sender.running():
        await asyncio.sleep(5.0)

    assert len(bench.times("hook")) == 1


@in_virtual_time
async def test_few_messages_are_in_memory_however_many_wait() -> None:
    bench = Bench()
    bench.put(*(message(1, incident=str(number)) for number in range(100)))

    async with bench.sender.running():
        await asyncio.sleep(10.0)

    assert set(bench.ledger.asked) == {4}
    assert len(bench.sent) == 100


@in_virtual_time
async def test_an_attempt_under_a_lease_that_was_renewed_goes_on() -> None:
    async def slow(_: object) -> Result:
        bench.keeper.lease = replace(bench.lease, expires_at=float("inf"))
        return Sent(200)

    bench = Bench()
    bench.answers["hook"] = slow
    bench.put(message(1))

    await bench.sender.run_once()

    assert bench.status(message(1)) == "delivered"
