"""The service's own time: it neither steps nor goes back, whatever the clocks do."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts_svc.domain.timekeeping import Reckoning
from alerts_svc.ports import Lease, Time
from alerts_svc.timekeeper import Timekeeper

START = 1_790_000_000.0
HOUR = 3600.0


@dataclass
class Machine:
    """Clocks that a test sets: of this process, and of the database."""

    monotonic: float = 50.0
    process: float = START
    database: float = START

    def passes(self, seconds: float) -> None:
        self.monotonic += seconds
        self.process += seconds
        self.database += seconds


@dataclass
class Row:
    """The lease as a store keeps it: who takes it goes on from what has passed by the database's clock."""

    own: float = START
    wall: float = START
    fence: int = 0

    def take(self, now: float) -> Lease:
        self.fence += 1
        self.own += max(0.0, now - self.wall)
        return self._given(now)

    def renew(self, now: float, own: float) -> Lease:
        self.own = max(self.own, own)
        return self._given(now)

    def _given(self, now: float) -> Lease:
        self.wall = now
        return Lease("me", self.fence, 1, self.own, now, 0.0)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def row() -> Row:
    return Row()


@pytest.fixture
def keeper(machine: Machine) -> Timekeeper:
    return Timekeeper(monotonic=lambda: machine.monotonic, clock=lambda: machine.process)


def test_before_the_first_lease_it_is_the_process_clock(
    machine: Machine, keeper: Timekeeper
) -> None:
    machine.passes(5)
    machine.process -= HOUR

    assert keeper.own() == keeper.wall() == START + 5 - HOUR
    assert keeper.monotonic() == 55


def test_first_lease_brings_the_stored_time(machine: Machine, keeper: Timekeeper, row: Row) -> None:
    machine.process += 300
    row.own -= 20

    keeper.renewed(row.take(machine.database))

    assert keeper.own() == START - 20
    assert keeper.wall() == START


@pytest.mark.parametrize("step", [HOUR, -HOUR, 0.2, -0.2], ids=str)
def test_step_of_the_database_clock_moves_the_true_time_alone(
    machine: Machine, keeper: Timekeeper, row: Row, step: float
) -> None:
    keeper.renewed(row.take(machine.database))
    machine.passes(10)
    machine.database += step

    keeper.renewed(row.renew(machine.database, keeper.own()))
    machine.passes(2)

    assert keeper.own() == START + 12
    assert keeper.wall() == START + 12 + step
    assert row.own == START + 10


@pytest.mark.parametrize("step", [HOUR, -HOUR], ids=str)
def test_step_of_the_process_clock_moves_nothing(
    machine: Machine, keeper: Timekeeper, row: Row, step: float
) -> None:
    keeper.renewed(row.take(machine.database))
    machine.passes(10)

    machine.process += step
    keeper.renewed(row.renew(machine.database, keeper.own()))

    assert keeper.own() == keeper.wall() == START + 10


def test_restart_goes_on_from_what_is_stored(
    machine: Machine, keeper: Timekeeper, row: Row
) -> None:
    keeper.renewed(row.take(machine.database))
    machine.passes(10)
    machine.database += HOUR
    keeper.renewed(row.renew(machine.database, keeper.own()))

    machine.passes(30)
    restarted = Timekeeper(monotonic=lambda: machine.monotonic - 40, clock=lambda: machine.process)
    restarted.renewed(row.take(machine.database))

    assert restarted.own() == START + 40
    assert restarted.wall() == START + 40 + HOUR


def test_clock_set_back_between_two_owners_adds_nothing(
    machine: Machine, keeper: Timekeeper, row: Row
) -> None:
    keeper.renewed(row.take(machine.database))
    machine.passes(10)
    keeper.renewed(row.renew(machine.database, keeper.own()))
    machine.database -= HOUR

    other = Timekeeper(monotonic=lambda: machine.monotonic, clock=lambda: machine.process)
    other.renewed(row.take(machine.database))

    assert other.own() == START + 10


def test_own_time_of_one_who_takes_the_lease_again_does_not_go_back(
    machine: Machine, keeper: Timekeeper, row: Row
) -> None:
    keeper.renewed(row.take(machine.database))
    machine.passes(10)
    machine.database -= HOUR

    keeper.renewed(row.take(machine.database))

    assert keeper.own() == START + 10


def test_takeover_after_another_owner_does_not_fall_behind_it(
    machine: Machine, keeper: Timekeeper, row: Row
) -> None:
    keeper.renewed(row.take(machine.database))
    row.take(machine.database)
    machine.passes(10)
    row.renew(machine.database, START + 11)

    keeper.renewed(row.take(machine.database))

    assert keeper.own() == START + 11


@given(
    st.lists(
        st.tuples(
            st.floats(0, 30, allow_subnormal=False),
            st.floats(-2 * HOUR, 2 * HOUR, allow_subnormal=False),
            st.floats(-2 * HOUR, 2 * HOUR, allow_subnormal=False),
        ),
        max_size=40,
    )
)
def test_own_time_is_the_time_that_has_passed_whatever_the_clocks_do(
    steps: list[tuple[float, float, float]],
) -> None:
    machine, row = Machine(), Row()
    keeper = Timekeeper(monotonic=lambda: machine.monotonic, clock=lambda: machine.process)
    keeper.renewed(row.take(machine.database))
    passed = 0.0

    for seconds, of_process, of_database in steps:
        machine.passes(seconds)
        passed += seconds
        machine.process += of_process
        machine.database += of_database
        keeper.renewed(row.renew(machine.database, keeper.own()))

        assert keeper.own() == pytest.approx(START + passed, abs=1e-3)
        assert keeper.wall() == machine.database


def test_timekeeper_is_what_the_parts_ask_for(keeper: Timekeeper) -> None:
    time: Time = keeper

    assert time.own() == START


def test_reckoning_counts_from_its_reading() -> None:
    reckoning = Reckoning(own=100.0, wall=200.0, monotonic=7.0, fence=1)

    assert reckoning.own_at(9.5) == 102.5
    assert reckoning.wall_at(9.5) == 202.5
