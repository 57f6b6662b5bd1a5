"""What people and senders ask for through the inbox."""

from __future__ import annotations

from collections.abc import Sequence

from alerts_svc.domain.world import Changes, Command, World


def apply(
    world: World, commands: Sequence[Command], *, own: float, wall: float
) -> tuple[World, Changes]:
    """Return the world after the commands, and what they changed; also lets alerts from elsewhere expire.

    To be called at each tick, with or without commands, before anything else.
    """
    raise NotImplementedError
