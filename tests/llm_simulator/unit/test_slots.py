from __future__ import annotations

import asyncio

import pytest

from llm_simulator.slots import QueueFullError, Slots


async def waiting(slots: Slots, count: int) -> list[asyncio.Task[None]]:
    """Begin to wait ``count`` times, in this order."""
    tasks = [asyncio.create_task(slots.take()) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_free_slot_is_taken_at_once() -> None:
    slots = Slots(2, queue=0)

    await slots.take()
    await slots.take()

    assert (slots.busy, slots.waiting) == (2, 0)


async def test_first_to_come_is_first_served() -> None:
    slots = Slots(1, queue=3)
    await slots.take()
    first, second, third = await waiting(slots, 3)

    slots.give_back()
    await asyncio.wait_for(first, 1)

    assert not second.done()
    assert (slots.busy, slots.waiting) == (1, 2)
    for later in (second, third):
        slots.give_back()
        await asyncio.wait_for(later, 1)
    slots.give_back()
    assert (slots.busy, slots.waiting) == (0, 0)


async def test_full_queue_turns_away_at_once() -> None:
    slots = Slots(1, queue=1)
    await slots.take()
    (queued,) = await waiting(slots, 1)

    with pytest.raises(QueueFullError):
        await slots.take()

    slots.give_back()
    await queued


async def test_who_stops_waiting_is_passed_over() -> None:
    slots = Slots(1, queue=2)
    await slots.take()
    leaving, staying = await waiting(slots, 2)

    leaving.cancel()
    await asyncio.wait([leaving])
    slots.give_back()
    await asyncio.wait_for(staying, 1)

    assert (slots.busy, slots.waiting) == (1, 0)


async def test_slot_given_to_someone_who_leaves_just_then_is_passed_on() -> None:
    slots = Slots(1, queue=2)
    await slots.take()
    leaving, staying = await waiting(slots, 2)

    slots.give_back()
    leaving.cancel()
    await asyncio.wait_for(staying, 1)

    assert leaving.cancelled()
    assert (slots.busy, slots.waiting) == (1, 0)


async def test_slot_given_back_just_after_someone_left_goes_to_the_next() -> None:
    slots = Slots(1, queue=2)
    await slots.take()
    leaving, staying = await waiting(slots, 2)

    leaving.cancel()
    slots.give_back()
    await asyncio.wait_for(staying, 1)

    assert leaving.cancelled()
    assert (slots.busy, slots.waiting) == (1, 0)
