from __future__ import annotations

import asyncio

import pytest

from alerts_svc.lease_keeper import LeaseKeeper
from alerts_svc.ports import Lease, LeaseLostError
from alerts_svc.timekeeper import Timekeeper
from tests.alerts_svc.memory import MemoryLedger, MemoryStore
from windsock_kit.testing import FakeClock


class Replica:
    """A keeper of its own on a store that others use too."""

    def __init__(self, store: MemoryStore, clock: FakeClock, name: str) -> None:
        self.fault: BaseException | None = None
        self.changes = 0
        self.time = Timekeeper(monotonic=clock.monotonic, clock=store.clock)
        ledger = MemoryLedger(store, monotonic=clock.monotonic, point=self._point)
        self.keeper = LeaseKeeper(ledger, self.time, name, ttl=8, changed=self._changed)

    async def _point(self, _: str) -> None:
        if self.fault is not None:
            raise self.fault

    def _changed(self) -> None:
        self.changes += 1


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> MemoryStore:
    return MemoryStore(clock=lambda: clock().timestamp())


async def test_one_has_the_lease_and_another_takes_it_when_it_has_ended(
    store: MemoryStore, clock: FakeClock
) -> None:
    first, second = Replica(store, clock, "first"), Replica(store, clock, "second")
    await first.keeper.tick()
    await second.keeper.tick()
    early = (first.keeper.lease is not None, second.keeper.lease is not None)

    clock.advance(9)
    ended = first.keeper.lease
    await second.keeper.tick()
    await first.keeper.tick()

    assert early == (True, False)
    assert ended is None
    assert second.keeper.lease is not None
    assert second.keeper.lease.fence == 2
    assert first.keeper.held is None


async def test_a_store_that_fails_lets_the_lease_last_to_its_end(
    store: MemoryStore, clock: FakeClock
) -> None:
    replica = Replica(store, clock, "me")
    await replica.keeper.tick()
    answered = replica.keeper.answered_at
    replica.fault = ConnectionRefusedError()

    clock.advance(2)
    with pytest.raises(ConnectionRefusedError):
        await replica.keeper.tick()
    still = replica.keeper.lease
    clock.advance(6)

    assert still is not None
    assert replica.keeper.lease is None
    assert replica.keeper.held is not None
    assert replica.keeper.answered_at == answered


async def test_what_others_must_know_is_told_once(store: MemoryStore, clock: FakeClock) -> None:
    replica = Replica(store, clock, "me")

    counts = []
    for grown in (0, 0, 1, 0):
        store.revision += grown
        await replica.keeper.tick()
        counts.append(replica.changes)

    assert counts == [1, 1, 2, 2]


async def test_own_time_counts_on_from_owner_to_owner(store: MemoryStore, clock: FakeClock) -> None:
    first, second = Replica(store, clock, "first"), Replica(store, clock, "second")
    await first.keeper.tick()
    begin = first.time.own()

    clock.advance(20)
    await second.keeper.tick()

    assert second.time.own() - begin == pytest.approx(20)


async def test_a_lease_that_the_store_refused_is_not_used_again(
    store: MemoryStore, clock: FakeClock
) -> None:
    replica = Replica(store, clock, "me")
    await replica.keeper.tick()
    lease = replica.keeper.lease
    assert lease is not None

    replica.keeper.lost(Lease("me", lease.fence - 1, 1, 0.0, 0.0, 0.0))
    kept = replica.keeper.lease
    replica.keeper.lost(lease)

    assert kept is lease
    assert replica.keeper.lease is None


async def test_one_that_resigns_makes_room_at_once(store: MemoryStore, clock: FakeClock) -> None:
    first, second = Replica(store, clock, "first"), Replica(store, clock, "second")
    await first.keeper.tick()

    await first.keeper.resign()
    await second.keeper.tick()
    first.fault = LeaseLostError()
    await first.keeper.resign()

    assert second.keeper.lease is not None


async def test_a_store_that_hangs_does_not_hold_up_the_next_campaign(
    store: MemoryStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hanging(MemoryLedger):
        async def campaign(
            self, owner: str, *, ttl: float, own: float | None = None
        ) -> Lease | None:
            await asyncio.Event().wait()
            return None

    time = Timekeeper(monotonic=clock.monotonic, clock=store.clock)
    keeper = LeaseKeeper(Hanging(store), time, "me", ttl=4)

    with pytest.raises(TimeoutError):
        await keeper.tick()


async def test_a_store_that_stands_still_is_noted_in_time_though_it_cannot_be_cancelled(
    store: MemoryStore, clock: FakeClock
) -> None:
    thawed = asyncio.Event()

    class Frozen(MemoryLedger):
        async def campaign(
            self, owner: str, *, ttl: float, own: float | None = None
        ) -> Lease | None:
            # As a driver that waits until the server has taken note of the cancellation.
            while not thawed.is_set():
                try:
                    await thawed.wait()
                except asyncio.CancelledError:
                    continue
            raise ConnectionResetError

    time = Timekeeper(monotonic=clock.monotonic, clock=store.clock)
    keeper = LeaseKeeper(Frozen(store), time, "me", ttl=4)

    async with asyncio.timeout(5):
        with pytest.raises(TimeoutError):
            await keeper.tick()
    noted = keeper.failed_at
    thawed.set()
    await asyncio.sleep(0)

    assert noted == (clock.monotonic(), clock.monotonic())
