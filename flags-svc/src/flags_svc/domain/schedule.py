"""What is to be done by the clock: pure, with the time handed in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from flags_svc.domain.deciding import Decide
from flags_svc.domain.flag import InEnvironment, ManagedFlag, Step
from flags_svc.domain.rollout import rolled_out
from flags_svc.domain.times import instant, to_milliseconds
from flags_svc.domain.world import Edit, World

AUTHOR = "schedule"
# Clocks differ a little, and a request takes its time.
LATE_SECONDS = 60.0


def due(at: float) -> Decide:
    """Return the decision to do all steps that are due at ``at``, each flag's in one edit.

    That they are done stands in the same edit, so that nobody does them again.
    """

    def decide(world: World) -> list[Edit]:
        edits = []
        for key, stored in world.flags.items():
            after = _after(stored.item, at)
            if after is not None:
                edits.append(Edit("flag", key, after, "schedule"))
        return edits

    return decide


def next_at(world: World) -> float | None:
    """Return when the next step is due, ``None`` if there is none."""
    moments = (
        moment
        for stored in world.flags.values()
        if not stored.item.archived
        for what in stored.item.environments.values()
        if what.schedule and (moment := _next(what.schedule)) is not None
    )
    return min(moments, default=None)


def without_steps_to_come(what: InEnvironment) -> InEnvironment:
    """Return what a flag does without what it was to do later: a hand on it ends its schedule."""
    done = tuple(step for step in what.schedule if step.done_at is not None)
    return what if len(done) == len(what.schedule) else replace(what, schedule=done)


def unscheduled(flag: ManagedFlag) -> ManagedFlag:
    """Return a flag without any step to come."""
    return replace(
        flag,
        environments={
            name: without_steps_to_come(what) for name, what in flag.environments.items()
        },
    )


def done(flag: ManagedFlag, what: InEnvironment, at: float) -> InEnvironment:
    """Return what a flag does after the steps that are due at ``at``; they count as done then."""
    moment = to_milliseconds(at)
    steps = list(what.schedule)
    for index, step in enumerate(steps):
        if step.done_at is not None:
            continue
        if _moment(steps[index - 1] if index else None, step) > at:
            break
        what = _applied(flag, what, step)
        steps[index] = replace(step, done_at=moment)
    return replace(what, schedule=tuple(steps))


def schedule_warnings(flag: ManagedFlag, environment: str, now: float) -> list[str]:
    """Return what of a schedule's steps to come in an environment will be done at another time than is written."""
    warnings = []
    first, expected = True, now
    for index, step in enumerate(flag.environments.get(environment, InEnvironment()).schedule):
        place = f"environments.{environment}.schedule[{index}]"
        if step.done_at is not None:
            expected = step.done_at
            continue
        if step.at is None:
            assert step.after_seconds is not None
            expected += step.after_seconds
        elif first and step.at < now - LATE_SECONDS:
            warnings.append(f"{place} is for {instant(step.at)}, which is over: it is done at once")
            expected = now
        elif not first and step.at < expected:
            warnings.append(
                f"{place} is for {instant(step.at)}, which is before the step before it: it is"
                f" done right after that, at {instant(expected)} at the earliest"
            )
        else:
            expected = step.at
        first = False
    return warnings


def _after(flag: ManagedFlag, at: float) -> ManagedFlag | None:
    if flag.archived or not any(what.schedule for what in flag.environments.values()):
        return None
    environments = {
        name: done(flag, what, at)
        if what.schedule and (moment := _next(what.schedule)) is not None and moment <= at
        else what
        for name, what in flag.environments.items()
    }
    if all(each is flag.environments[name] for name, each in environments.items()):
        return None
    return replace(flag, environments=environments)


def _applied(flag: ManagedFlag, what: InEnvironment, step: Step) -> InEnvironment:
    if step.enabled is not None:
        what = replace(what, enabled=step.enabled)
    if step.percentage is not None:
        what = rolled_out(flag, what, step.percentage)
    return what


def _next(steps: Iterable[Step]) -> float | None:
    """Return when the first step that is to come is due."""
    before: Step | None = None
    for step in steps:
        if step.done_at is None:
            return _moment(before, step)
        before = step
    return None


def _moment(before: Step | None, step: Step) -> float:
    if step.at is not None:
        return step.at
    # The first step has a time, and what comes after it waits for it to be done.
    assert before is not None
    assert before.done_at is not None
    assert step.after_seconds is not None
    return before.done_at + step.after_seconds
