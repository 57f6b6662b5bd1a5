"""What is told now, to whom, and what is held back."""

from __future__ import annotations

from alerts_svc.domain.world import Changes, World


def decide(world: World, *, own: float, wall: float, evaluated: bool = False) -> Changes:
    """Return what is to be told now of what is owed, and why the rest is not.

    ``evaluated`` says that an evaluation has just succeeded: heartbeats are given only then.
    """
    raise NotImplementedError


def next_decision(world: World, *, own: float, wall: float) -> float | None:
    """Return the own time at which ``decide`` would do something by itself, ``None`` if only others can cause it."""
    raise NotImplementedError
