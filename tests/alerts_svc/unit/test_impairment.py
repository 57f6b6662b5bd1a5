from __future__ import annotations

import os
from pathlib import Path

import pytest
import pytest_asyncio

from alerts_svc.clients.measures import Answers
from alerts_svc.clients.roster import Roster
from alerts_svc.domain import builtin
from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.domain.message import Message
from alerts_svc.evaluator.evaluator import Evaluator
from alerts_svc.impairment import Impairment, Journal
from alerts_svc.lease_keeper import LeaseKeeper
from alerts_svc.ports import Refused, Result, Retry, Sent
from alerts_svc.timekeeper import Timekeeper
from tests.alerts_svc.memory import MemoryLedger, MemoryStore
from windsock_kit.testing import FakeClock


class Nothing:
    """Measures of nothing."""

    async def ask(self, queries: object, *, wall: float, seconds: float | None = None) -> Answers:
        return Answers()

    async def history(
        self, queries: object, *, begin: float, end: float, step_seconds: int
    ) -> dict[object, object]:
        return {}


class Setup:
    """One replica on a store that can be away."""

    def __init__(self, folder: str) -> None:
        self.clock = FakeClock()
        self.away = False
        self.stuck = False
        self.store = MemoryStore(clock=lambda: self.clock().timestamp())
        self.store.put_channel(Channel("console", Kind.CONSOLE))
        self.store.put_channel(Channel("hook", Kind.WEBHOOK))
        self.ledger = MemoryLedger(self.store, monotonic=self.clock.monotonic, point=self._point)
        self.results: list[Result | Exception] = []
        self.sent: list[tuple[str, Message]] = []
        self.folder = folder
        self.start()

    def start(self) -> None:
        """Begin as a new process on the same folder."""
        self.time = Timekeeper(monotonic=self.clock.monotonic, clock=self.store.clock)
        self.keeper = LeaseKeeper(self.ledger, self.time, f"me{self.clock()}", ttl=8)
        self.evaluator = Evaluator(self.ledger, Nothing(), self.keeper, self.time)  # type: ignore[arg-type]
        self.impairment = Impairment(
            self.keeper,
            self.evaluator,
            dict.fromkeys(Kind, self),
            self.time,
            after_seconds=15,
            journal=Journal(self.folder),
            roster=Roster(None),
            load=self.ledger.load,
        )

    async def _point(self, name: str) -> None:
        if self.away or (self.stuck and not name.startswith(("campaign", "load"))):
            raise ConnectionRefusedError

    async def send(self, channel: Channel, message: Message, *, wall: float) -> Result:
        result = self.results.pop(0) if self.results else Sent(200)
        if isinstance(result, Exception):
            raise result
        if isinstance(result, Sent):
            self.sent.append((channel.name, message))
        return result

    async def seconds(self, number: int) -> None:
        """Let time pass as the loops would."""
        for second in range(number):
            self.clock.advance(1)
            if second % 2 == 0:
                try:
                    await self.keeper.tick()
                    await self.evaluator.tick()
                except ConnectionRefusedError:
                    pass
            await self.impairment.tick()

    def told(self) -> list[tuple[str, str]]:
        return sorted((channel, message.status) for channel, message in self.sent)

    def history(self) -> list[str]:
        return [t.change.value for t in self.store.transitions.values()]

    def another_acts(self) -> None:
        row = self.store.lease
        assert row is not None
        row.owner, row.fence = "another", row.fence + 1
        row.ends_at = self.store.clock() + 8


@pytest_asyncio.fixture
async def setup(tmp_path: Path) -> Setup:
    setup = Setup(str(tmp_path / "state"))
    await setup.seconds(3)
    return setup


BOTH = [("console", "firing"), ("hook", "firing")]


async def test_a_store_that_is_away_for_a_while_is_told_to_every_channel_once(
    setup: Setup,
) -> None:
    setup.away = True

    await setup.seconds(14)
    early = setup.told()
    await setup.seconds(60)

    assert early == []
    assert setup.told() == BOTH
    assert setup.history() == []
    assert setup.sent[0][1].items[0].labels["alertname"] == builtin.EVALUATION_IMPAIRED


async def test_what_was_told_is_an_incident_when_the_store_is_back_and_resolves(
    setup: Setup,
) -> None:
    setup.away = True
    await setup.seconds(30)
    setup.away = False

    await setup.seconds(10)

    assert setup.history() == ["fired", "resolved"]
    outbox = [row.message for row in setup.store.outbox.values()]
    assert sorted((m.channel, m.status) for m in outbox) == [
        ("console", "resolved"),
        ("hook", "resolved"),
    ]
    incidents = {m.items[0].incident for m in outbox} | {m.items[0].incident for _, m in setup.sent}
    assert len(incidents) == 1
    assert os.listdir(setup.folder) == []


async def test_a_channel_that_breaks_is_tried_again_and_holds_up_no_other(setup: Setup) -> None:
    setup.results = [ValueError("broken"), Sent(200)]
    setup.away = True

    await setup.seconds(25)

    assert setup.told() == BOTH


async def test_what_could_not_be_sent_directly_goes_into_the_outbox(setup: Setup) -> None:
    setup.results = [Sent(200), *[Retry("away")] * 50]
    setup.away = True
    await setup.seconds(30)
    setup.away = False

    await setup.seconds(10)

    [(first, _)] = setup.sent
    left = [row.message for row in setup.store.outbox.values() if row.message.status == "firing"]
    assert {first, *(message.channel for message in left)} == {"console", "hook"}


async def test_a_channel_that_refuses_is_not_tried_again(setup: Setup) -> None:
    setup.results = [Refused("no"), Sent(200)]
    setup.away = True

    await setup.seconds(60)

    assert len(setup.sent) == 1


async def test_a_replica_that_did_not_act_tells_nothing(setup: Setup) -> None:
    setup.another_acts()
    await setup.seconds(3)
    setup.away = True

    await setup.seconds(60)

    assert setup.sent == []


async def test_a_process_that_starts_anew_does_not_tell_again_but_enters_it(setup: Setup) -> None:
    setup.away = True
    await setup.seconds(30)
    setup.start()
    await setup.seconds(60)
    told = setup.told()
    setup.away = False

    await setup.seconds(20)

    assert told == BOTH
    assert setup.history() == ["fired", "resolved"]


async def test_where_another_one_acts_now_it_is_ended_directly(setup: Setup) -> None:
    setup.away = True
    await setup.seconds(30)
    setup.another_acts()
    setup.away = False

    await setup.seconds(5)

    assert setup.told() == sorted([*BOTH, ("console", "resolved"), ("hook", "resolved")])
    assert setup.history() == []


async def test_a_folder_that_cannot_be_written_keeps_nobody_from_being_told(
    setup: Setup, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("a file in the way")
    setup.away = True

    await setup.seconds(30)

    assert setup.told() == BOTH


@pytest.mark.parametrize("content", [b"", b"{", b"{}"])
def test_a_journal_that_cannot_be_read_is_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "evaluation-impaired.json").write_bytes(content)

    assert Journal(str(tmp_path)).read() is None


async def test_a_process_that_stood_still_does_not_take_that_for_a_store_that_is_away(
    setup: Setup,
) -> None:
    setup.clock.advance(60)
    await setup.impairment.tick()
    setup.away = True

    await setup.seconds(20)

    assert setup.sent == []


async def test_a_process_that_read_the_journal_ends_what_was_told_though_another_acts(
    setup: Setup,
) -> None:
    setup.away = True
    await setup.seconds(30)
    setup.start()
    setup.another_acts()
    setup.away = False

    await setup.seconds(4)

    assert setup.told() == [
        ("console", "firing"),
        ("console", "resolved"),
        ("hook", "firing"),
        ("hook", "resolved"),
    ]


async def test_decisions_that_fail_while_the_store_answers_are_told_once_and_resolve(
    setup: Setup,
) -> None:
    setup.stuck = True

    await setup.seconds(13)
    early = setup.told()
    await setup.seconds(60)
    told = setup.told()
    setup.stuck = False
    await setup.seconds(10)

    assert early == []
    assert told == BOTH
    assert setup.history() == ["fired", "resolved"]


async def test_a_process_that_never_decided_anything_tells_too(setup: Setup) -> None:
    setup.start()
    setup.stuck = True

    await setup.seconds(60)

    assert setup.told() == BOTH


async def test_a_store_that_comes_and_goes_is_told_once_in_its_cooldown(setup: Setup) -> None:
    for _ in range(3):
        setup.away = True
        await setup.seconds(30)
        setup.away = False
        await setup.seconds(10)
    within = setup.told()
    setup.away = True
    await setup.seconds(900)

    assert within == BOTH
    assert setup.told() == sorted(BOTH * 2)
