"""Many runs of the service itself, each with its own trouble: whatever happens, its promises hold."""

from __future__ import annotations

import pytest

from tests.alerts_svc.simulation.checker import check
from tests.alerts_svc.simulation.facts import Facts
from tests.alerts_svc.simulation.history import Arrived, Fault, GivenUp, History, Queued
from tests.alerts_svc.simulation.plan import FAULTS
from tests.alerts_svc.simulation.simulation import simulate

SEEDS = 600
PARTS = 6


pytestmark = pytest.mark.usefixtures("silent")


@pytest.mark.parametrize("part", range(PARTS))
def test_promises_hold_in_every_run(part: int) -> None:
    for seed in range(part, SEEDS, PARTS):
        history = simulate(seed)

        wrong = check(history)

        if wrong:
            pytest.fail(f"seed {seed}:\n{history.tail()}\n" + "\n".join(wrong))


def test_a_seed_says_the_same_each_time() -> None:
    first, second = simulate(7), simulate(7)

    assert first.events == second.events


def test_runs_meet_what_they_are_there_for() -> None:
    histories = [simulate(seed) for seed in range(SEEDS, SEEDS + 40)]

    kinds = {
        event.kind for history in histories for event in history.events if isinstance(event, Fault)
    }
    assert len(kinds) >= len(FAULTS) - 4
    assert _some(histories, Queued) > 500
    assert _some(histories, GivenUp) > 5
    copies = [
        times
        for history in histories
        for times in Facts(history).arrivals.values()
        if len(times) > 1
    ]
    assert copies
    assert _some(histories, Arrived) > _some(histories, Queued) / 2


def _some(histories: list[History], kind: type) -> int:
    return sum(isinstance(event, kind) for history in histories for event in history.events)
