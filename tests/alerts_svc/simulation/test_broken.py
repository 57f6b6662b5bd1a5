"""The runs find a store that breaks its promises: what they say of the real one is worth something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from alerts_svc.domain.message import Message
from alerts_svc.domain.world import Changes, World
from alerts_svc.ports import Lease, Result
from tests.alerts_svc.memory import LeaseRow, Row
from tests.alerts_svc.simulation.checker import check
from tests.alerts_svc.simulation.plan import drawn
from tests.alerts_svc.simulation.recording import RecordingStore
from tests.alerts_svc.simulation.simulation import simulate

SEEDS = 600


class WithoutFence(RecordingStore):
    """Lets an owner write whose lease another one has taken."""

    def check(self, lease: Lease) -> None:
        pass


class WithoutRevision(RecordingStore):
    """Commits what was decided without knowing what people have changed."""

    def commit(self, lease: Lease, changes: Changes, *, revision: int) -> None:
        super().commit(lease, changes, revision=self.revision)


class WithoutOrder(RecordingStore):
    """Gives out messages whose predecessors still wait."""

    def free(self, channel: str) -> list[Row]:
        return self.waiting(channel)


class WithoutFallBack(RecordingStore):
    """Gives messages up and tells nobody."""

    def fall_back(self, lease: Lease, message: str, messages: Sequence[Message]) -> None:
        super().fall_back(lease, message, ())


class LosingMessages(RecordingStore):
    """Commits the alerts of some decisions and not their first messages."""

    def commit(self, lease: Lease, changes: Changes, *, revision: int) -> None:
        if len(self.evaluations) % 7 == 0:
            changes = replace(changes, messages=changes.messages[1:])
        super().commit(lease, changes, revision=revision)


class LosingAlerts(RecordingStore):
    """Does not give back the alerts to who loads the world anew."""

    def world(self) -> World:
        return replace(super().world(), alerts={})


class LosingCooldowns(RecordingStore):
    """Does not give back when an alert was told of last."""

    def world(self) -> World:
        world = super().world()
        alerts = {name: replace(alert, fired_at=None) for name, alert in world.alerts.items()}
        return replace(world, alerts=alerts)


class LosingOutcomes(RecordingStore):
    """Forgets how some attempts ended."""

    def end_attempt(
        self, lease: Lease, message: str, result: Result, *, own: float, next_at: float | None
    ) -> None:
        if len(self.attempts) % 9 != 0:
            super().end_attempt(lease, message, result, own=own, next_at=next_at)


class CountingByTheWall(RecordingStore):
    """Takes the database's clock for the service's own time."""

    def campaign(self, owner: str, *, ttl: float, own: float | None) -> LeaseRow | None:
        return super().campaign(owner, ttl=ttl, own=None)


@pytest.mark.parametrize(
    ("store", "trouble", "promise"),
    [
        (WithoutFence, "pause", "I6 resolve"),
        (WithoutRevision, "silence", "I8 silence"),
        (WithoutOrder, "receiver", "I4 order"),
        (WithoutFallBack, "refusal", "I6 resolve"),
        (LosingMessages, "", "I1 told or held"),
        (LosingAlerts, "", "I6 resolve"),
        (LosingCooldowns, "", "I7 cooldown"),
        (LosingOutcomes, "", "I3 copies"),
        (CountingByTheWall, "clock", "own time"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
@pytest.mark.usefixtures("silent")
def test_a_broken_store_is_found(store: type[RecordingStore], trouble: str, promise: str) -> None:
    seeds = [seed for seed in range(SEEDS) if not trouble or _has(seed, trouble)]

    found = (line for seed in seeds for line in check(simulate(seed, store)))

    assert any(line.startswith(promise) for line in found)


def _has(seed: int, trouble: str) -> bool:
    return any(step.kind == trouble for step in drawn(seed).steps)
