from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest
import pytest_asyncio

from alerts_svc.clients.measures import Answers, History, MeasuresError
from alerts_svc.domain import builtin
from alerts_svc.domain.alert import Alert, Change, State
from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.domain.reading import Group
from alerts_svc.domain.rule import Comparison, Query, Rule, Threshold
from alerts_svc.domain.severity import Severity
from alerts_svc.domain.world import Changes, Posted
from alerts_svc.evaluator.evaluator import Evaluator
from alerts_svc.evaluator.news import Announcement, Scope
from alerts_svc.ports import ENOUGH_POSTED, Lease
from alerts_svc.timekeeper import Timekeeper
from tests.alerts_svc.memory import MemoryLedger, MemoryStore
from windsock_kit.testing import FakeClock


@dataclass(slots=True)
class Fake:
    """Measurements as they are set; asked for once with everything that a tick wants."""

    values: dict[str, dict[Group, float | None]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    away: str = ""
    asked: list[list[Query]] = field(default_factory=list)
    on_ask: Callable[[], None] = lambda: None

    async def ask(
        self, queries: Sequence[Query], *, wall: float, seconds: float | None = None
    ) -> Answers:
        self.asked.append(list(queries))
        self.on_ask()
        if self.away:
            raise MeasuresError(self.away)
        return Answers(
            {
                query: {
                    (*group, None, None)[: len(query.group_by)]: (value, 100.0)
                    for group, value in self.values.get(query.measure, {}).items()
                }
                for query in queries
                if query.measure not in self.refused
            },
            {q: self.refused[q.measure] for q in queries if q.measure in self.refused},
        )

    async def history(
        self, queries: Sequence[Query], *, begin: float, end: float, step_seconds: int
    ) -> Mapping[Query, History]:
        raise NotImplementedError


@dataclass(slots=True)
class Held:
    """A lease that lasts until it is taken away."""

    lease: Lease | None = None
    refusals: int = 0

    def lost(self, lease: Lease) -> None:
        self.refusals += 1
        self.lease = None


@dataclass(slots=True)
class Setup:
    store: MemoryStore
    ledger: MemoryLedger
    measures: Fake
    keeper: Held
    time: Timekeeper
    clock: FakeClock
    evaluator: Evaluator
    committed: list[Changes]
    points: dict[str, BaseException]

    def alert(self, name: str) -> Alert:
        return next(a for a in self.store.alerts.values() if a.labels["alertname"] == name)

    def changes(self, name: str) -> list[tuple[Change, str]]:
        identity = self.alert(name).fingerprint
        found = [t for t in self.store.transitions.values() if t.fingerprint == identity]
        return [(t.change, t.reason) for t in sorted(found, key=lambda t: t.sequence)]

    async def ticks(self, number: int, seconds: float = 5.0) -> None:
        for _ in range(number):
            self.clock.advance(seconds)
            await self.evaluator.tick()


@pytest_asyncio.fixture
async def setup() -> Setup:
    clock = FakeClock()
    store = MemoryStore(clock=lambda: clock().timestamp())
    store.put_channel(Channel("console", Kind.CONSOLE))
    store.put_rule(rule("Slow"))
    points: dict[str, BaseException] = {}

    async def point(name: str) -> None:
        error = points.pop(name, None)
        if error is not None:
            raise error

    ledger = MemoryLedger(store, monotonic=clock.monotonic, point=point)
    lease = await ledger.campaign("me", ttl=1e9)
    assert lease is not None
    time = Timekeeper(monotonic=clock.monotonic, clock=store.clock)
    time.renewed(lease)
    measures, keeper = Fake({"slow": {("a",): 1.0}}), Held(lease)
    committed: list[Changes] = []
    evaluator = Evaluator(ledger, measures, keeper, time, committed=committed.append)
    return Setup(store, ledger, measures, keeper, time, clock, evaluator, committed, points)


def rule(name: str, measure: str = "slow", **changes: object) -> Rule:
    condition = Threshold(
        Query(measure, "avg", 60, group_by=("operation",)), Comparison.ABOVE, critical=10.0
    )
    return replace(Rule(name, "test", condition), **changes)  # type: ignore[arg-type]


async def test_without_the_lease_nothing_is_asked_or_written(setup: Setup) -> None:
    setup.keeper.lease = None

    acted = await setup.evaluator.tick()

    assert not acted
    assert setup.measures.asked == []
    assert setup.committed == []


async def test_a_breach_is_committed_with_its_message_in_one_go(setup: Setup) -> None:
    setup.measures.values["slow"] = {("a",): 20.0, ("b",): 1.0}

    await setup.evaluator.tick()

    assert setup.changes("Slow") == [(Change.FIRED, "")]
    assert [row.message.channel for row in setup.store.outbox.values()] == ["console"]
    evaluation = setup.store.evaluations[-1]
    assert sorted(evaluation.values, key=str) == [1.0, 20.0]


async def test_equal_questions_are_asked_once_and_of_enabled_rules_only(setup: Setup) -> None:
    setup.store.put_rule(rule("Slow2"))
    setup.store.put_rule(rule("Other", "other"))
    setup.store.put_rule(rule("Off", "off", enabled=False))

    await setup.evaluator.tick()

    assert [query.measure for query in setup.measures.asked[0]] == ["slow", "other"]


async def test_an_announced_evaluation_asks_only_what_it_concerns(setup: Setup) -> None:
    setup.store.put_rule(rule("Quality", "quality.score"))
    setup.store.put_rule(rule("Latency", "performance.duration_ms"))
    await setup.evaluator.tick()

    await setup.evaluator.tick(Scope(kinds=frozenset({"performance"})))

    assert [query.measure for query in setup.measures.asked[-1]] == ["performance.duration_ms"]


async def test_a_rule_that_is_refused_fails_alone(setup: Setup) -> None:
    setup.store.put_rule(rule("Other", "other"))
    setup.measures.values = {"slow": {("a",): 20.0}, "other": {("a",): 20.0}}
    await setup.evaluator.tick()
    setup.measures.refused["other"] = "unknown measure"

    await setup.ticks(1)

    assert setup.alert("Other").state is State.ERROR
    assert setup.alert("Other").error == "unknown measure"
    assert setup.alert("Slow").state is State.FIRING
    assert setup.changes("Other") == [(Change.FIRED, "")]


async def test_while_metrics_svc_is_away_nothing_resolves_and_one_alert_says_so(
    setup: Setup,
) -> None:
    setup.measures.values["slow"] = {("a",): 20.0}
    await setup.evaluator.tick()
    setup.measures.away = "no answer"

    await setup.ticks(2)
    early = [a.labels["alertname"] for a in setup.store.alerts.values() if a.incident]
    await setup.ticks(10)
    slow = setup.alert("Slow").state
    setup.measures.away = ""
    await setup.ticks(2)

    assert early == ["Slow"]
    assert slow is State.ERROR
    assert setup.changes("Slow") == [(Change.FIRED, "")]
    assert setup.changes(builtin.EVALUATION_IMPAIRED) == [
        (Change.FIRED, ""),
        (Change.RESOLVED, ""),
    ]
    assert setup.alert("Slow").state is State.FIRING


async def test_a_group_that_is_no_longer_answered_has_no_data(setup: Setup) -> None:
    setup.measures.values["slow"] = {("a",): 20.0}
    await setup.evaluator.tick()
    setup.measures.values["slow"] = {}

    await setup.ticks(61)

    assert setup.alert("Slow").state is State.NO_DATA
    assert setup.changes("Slow") == [(Change.FIRED, ""), (Change.NO_DATA, "no_data")]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda store: store.remove_rule("Slow"), "rule_deleted"),
        (lambda store: store.put_rule(rule("Slow", enabled=False)), "rule_disabled"),
        (lambda store: store.put_rule(rule("Slow", labels={"team": "x"})), None),
        (
            lambda store: store.put_rule(
                rule("Slow", condition=Threshold(Query("slow", "avg", 60), Comparison.ABOVE, 1.0))
            ),
            "rule_changed",
        ),
    ],
    ids=["deleted", "disabled", "more labels", "other groups"],
)
async def test_what_a_rule_leaves_behind_is_resolved(
    setup: Setup, change: Callable[[MemoryStore], None], reason: str | None
) -> None:
    setup.measures.values["slow"] = {("a",): 20.0}
    await setup.evaluator.tick()
    first = setup.alert("Slow")
    change(setup.store)
    setup.evaluator.reload()

    await setup.ticks(1)

    found = [t for t in setup.store.transitions.values() if t.fingerprint == first.fingerprint]
    resolved = [t.reason for t in found if t.change is Change.RESOLVED]
    assert resolved == [reason or "rule_changed"]


async def test_what_people_change_in_between_is_decided_anew(setup: Setup) -> None:
    setup.measures.values["slow"] = {("a",): 20.0}

    def once() -> None:
        setup.measures.on_ask = lambda: None
        setup.store.put_channel(Channel("hook", Kind.WEBHOOK))

    setup.measures.on_ask = once
    await setup.evaluator.tick()

    channels = sorted(row.message.channel for row in setup.store.outbox.values())
    assert channels == ["console", "hook"]
    # One question for the rules, asked once although it was decided twice, and one for details each time.
    assert len([asked for asked in setup.measures.asked if len(asked) == 1]) == 1


async def test_a_revision_that_never_rests_does_not_hold_the_process(setup: Setup) -> None:
    setup.measures.values["slow"] = {("a",): 20.0}
    setup.measures.on_ask = lambda: setup.store.put_rule(rule("Slow"))

    acted = await setup.evaluator.tick()
    setup.measures.on_ask = lambda: None
    await setup.evaluator.tick()

    assert acted
    assert setup.changes("Slow") == [(Change.FIRED, "")]


async def test_people_who_change_things_all_the_time_wait_for_a_page(setup: Setup) -> None:
    setup.measures.values["slow"] = {("a",): 20.0}

    def change() -> None:
        if not setup.ledger.is_quiet:
            setup.store.put_rule(rule("Slow"))

    setup.measures.on_ask = change
    await setup.evaluator.tick()

    assert setup.changes("Slow") == [(Change.FIRED, "")]


async def test_a_lease_that_is_lost_ends_the_tick(setup: Setup) -> None:
    setup.measures.values["slow"] = {("a",): 20.0}
    lease = setup.keeper.lease
    assert lease is not None
    assert setup.store.lease is not None
    setup.store.lease = replace(setup.store.lease, owner="other", fence=lease.fence + 1)

    acted = await setup.evaluator.tick()

    assert not acted
    assert setup.keeper.refusals == 1
    assert setup.store.transitions == {}
    assert setup.evaluator.world is None


async def test_a_commit_of_unknown_outcome_is_found_again_not_repeated(setup: Setup) -> None:
    setup.measures.values["slow"] = {("a",): 20.0}
    setup.points["commit:after"] = ConnectionResetError()

    with pytest.raises(ConnectionResetError):
        await setup.evaluator.tick()
    await setup.ticks(1)

    assert setup.changes("Slow") == [(Change.FIRED, "")]
    assert len(setup.store.outbox) == 1


async def test_a_commit_that_failed_is_made_anew_with_the_same_breach(setup: Setup) -> None:
    setup.measures.values["slow"] = {("a",): 20.0}
    setup.points["commit:before"] = ConnectionResetError()

    with pytest.raises(ConnectionResetError):
        await setup.evaluator.tick()
    await setup.ticks(1)

    assert setup.changes("Slow") == [(Change.FIRED, "")]
    assert len(setup.store.outbox) == 1


async def test_only_the_first_of_equal_values_is_written_at_once(setup: Setup) -> None:
    setup.measures.values["slow"] = {("a",): 20.0}
    await setup.evaluator.tick()
    setup.measures.values["slow"] = {("a",): 30.0}
    await setup.ticks(1)
    written, known = setup.alert("Slow").value, setup.evaluator.world

    await setup.ticks(3)

    assert written == 20.0
    assert known is not None
    assert [alert.value for alert in known.alerts.values()] == [30.0]
    assert setup.alert("Slow").value == 30.0


async def test_a_tick_without_an_evaluation_writes_only_what_changes(setup: Setup) -> None:
    await setup.evaluator.tick()
    commits = len(setup.store.evaluations)
    setup.points["commit:before"] = AssertionError("nothing is to be committed")

    await setup.evaluator.tick(None)

    assert len(setup.store.evaluations) == commits
    assert len(setup.measures.asked) == 1


async def test_a_channel_that_was_given_up_on_is_told_of(setup: Setup) -> None:
    setup.store.put_channel(Channel("hook", Kind.WEBHOOK))
    lease = setup.keeper.lease
    assert lease is not None
    await setup.ledger.disable_channel(lease, "hook", "410 Gone")

    await setup.evaluator.tick()
    fired = setup.changes(builtin.CHANNEL_FAILING)
    setup.store.remove_channel("hook")
    setup.evaluator.reload()
    await setup.ticks(1)

    assert fired == [(Change.FIRED, "")]
    reasons = [t.reason for t in setup.store.transitions.values() if t.change is Change.RESOLVED]
    assert reasons == ["channel_deleted"]


async def test_what_others_post_takes_no_place_of_our_own_alerts(setup: Setup) -> None:
    labels = {"alertname": "Slow", "operation": "a"}
    impaired = dict(builtin.labels(builtin.EVALUATION_IMPAIRED))
    at = setup.store.clock()
    setup.store.put_command(
        tuple(Posted(each, {}, at, None, "", at) for each in (labels, impaired))
    )
    await setup.evaluator.tick()
    setup.measures.values["slow"] = {("a",): 20.0}

    await setup.ticks(2)

    firing = [a for a in setup.store.alerts.values() if a.state is State.FIRING]
    assert sorted((a.labels["alertname"], a.rule or "") for a in firing) == [
        ("EvaluationImpaired", ""),
        ("Slow", ""),
        ("Slow", "Slow"),
    ]


@pytest.mark.parametrize(
    ("seconds", "fence"), [(3_600.0, 1), (20.0, 2)], ids=["we come back", "another one acts"]
)
async def test_senders_that_could_not_reach_us_have_time_to_repeat_themselves(
    setup: Setup, seconds: float, fence: int
) -> None:
    at = setup.store.clock()
    setup.store.put_command((Posted({"alertname": "DiskFull"}, {}, at, None, "", at),))
    await setup.evaluator.tick()
    setup.clock.advance(seconds)
    assert setup.keeper.lease is not None
    assert setup.store.lease is not None
    setup.keeper.lease = replace(setup.keeper.lease, fence=fence)
    setup.store.lease.fence = fence

    await setup.ticks(59)
    before = setup.changes("DiskFull")
    await setup.ticks(2)

    assert before == [(Change.FIRED, "")]
    assert setup.changes("DiskFull") == [(Change.FIRED, ""), (Change.NO_DATA, "expired")]


async def test_a_full_inbox_is_looked_at_again_at_once(setup: Setup) -> None:
    at = setup.store.clock()
    ended = Posted({"alertname": "DiskFull"}, {}, at, at, "", at)
    for _ in range(2):
        setup.store.put_command((ended,) * ENOUGH_POSTED)

    await setup.evaluator.tick()
    first = (setup.evaluator.left_over, len(setup.store.commands))
    await setup.evaluator.tick()
    await setup.evaluator.tick()

    assert first == (True, 1)
    assert (setup.evaluator.left_over, len(setup.store.commands)) == (False, 0)


async def test_a_page_carries_when_its_events_happened(setup: Setup) -> None:
    wall = setup.time.wall()
    setup.evaluator.news.hear(
        Announcement(latest_event_at=wall - 1, latest_by_operation={"a": wall - 2})
    )
    setup.measures.values["slow"] = {("a",): 20.0}

    await setup.evaluator.tick()

    incident = setup.alert("Slow").incident
    assert incident is not None
    assert incident.event_at == wall - 2
    assert incident.severity is Severity.CRITICAL


async def test_pages_say_what_helps_to_see_what_they_mean(setup: Setup) -> None:
    setup.measures.values = {
        "slow": {("a", None, "HIGH"): 20.0},
        "performance.duration_ms": {("a", None): 1234.0, ("b", None): 1.0},
        "performance.errors": {("a", None): 0.25},
        "llm_call.cost_usd": {("a", None): 0.5},
    }

    await setup.evaluator.tick()

    details = next(iter(setup.store.outbox.values())).message.details
    assert details is not None
    assert (details.operations, details.average_ms) == (("a",), 1234.0)
    assert details.cost_per_hour_usd == 30.0
    assert details.top == (("gap priority HIGH", 1.0),)


async def test_a_page_goes_out_without_details_when_they_cannot_be_had(setup: Setup) -> None:
    setup.measures.values["slow"] = {("a",): 20.0}

    def away_for_details() -> None:
        setup.measures.away = "slow" if len(setup.measures.asked) == 2 else ""

    setup.measures.on_ask = away_for_details
    await setup.evaluator.tick()

    details = next(iter(setup.store.outbox.values())).message.details
    assert details is not None
    assert details.note == "details unavailable"
