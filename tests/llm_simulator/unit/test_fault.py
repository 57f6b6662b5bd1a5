from __future__ import annotations

from llm_simulator.domain.fault import NONE, Faults, FaultSwitch


def test_nothing_goes_wrong_unless_told_to() -> None:
    switch = FaultSwitch()

    assert switch.current(now=0) == NONE == Faults()
    assert switch.remaining_seconds(now=0) is None


def test_faults_stay_until_they_are_changed() -> None:
    switch = FaultSwitch()
    switch.set(Faults(outage=True), now=0)

    assert switch.current(now=10**9) == Faults(outage=True)
    assert switch.remaining_seconds(now=10**9) is None


def test_faults_end_when_their_time_is_over() -> None:
    switch = FaultSwitch()
    switch.set(Faults(error_rate=0.5), now=100, for_seconds=30)

    assert switch.current(now=129).error_rate == 0.5
    assert switch.remaining_seconds(now=120) == 10
    assert switch.current(now=130) == NONE
    assert switch.remaining_seconds(now=130) is None


def test_new_faults_replace_all_old_ones() -> None:
    switch = FaultSwitch()
    switch.set(Faults(error_rate=0.5), now=0, for_seconds=30)
    switch.set(Faults(quality_drop=0.2), now=10)

    assert switch.current(now=40) == Faults(quality_drop=0.2)
