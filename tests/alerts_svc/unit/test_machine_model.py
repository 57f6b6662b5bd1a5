"""The state machine against a model of it, over random histories with restarts in between."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from alerts_svc.domain import machine
from alerts_svc.domain.alert import Alert, Change, State, Transition
from alerts_svc.domain.reading import Failed, Finding, Missing, Outcome
from alerts_svc.domain.rule import Comparison, Query, Rule, Threshold
from alerts_svc.domain.severity import Severity, rank

START = 1_790_000_000.0
CONDITION = Threshold(Query("performance.duration_ms", "p95", 900), Comparison.ABOVE, 1.0, 2.0)
severities = st.sampled_from(Severity)
durations = st.sampled_from([0.0, 5.0, 60.0])


@dataclass
class Model:
    """What is expected, said as simply as possible."""

    rule: Rule
    now: float = START
    shown: State = State.INACTIVE
    severity: Severity | None = None
    """Of the open incident."""
    since: float | None = None
    clear_since: float | None = None
    silent_since: float | None = None
    silence_told: bool = False
    resolve_untold: bool = False

    def breach(self, level: Severity) -> list[Change]:
        self.clear_since = self.silent_since = None
        self.since = self.now if self.since is None else self.since
        if self.severity is None:
            waited = self.now - self.since >= self.rule.for_seconds
            if not waited or self.resolve_untold:
                self.shown = State.PENDING
                return []
            self.shown, self.severity = State.FIRING, level
            return [Change.FIRED]
        self.shown = State.FIRING
        return self._resume() + self._shift(level)

    def clear(self) -> list[Change]:
        self.silent_since = None
        if self.severity is None:
            return self._rest()
        self.shown = State.FIRING
        self.clear_since = self.now if self.clear_since is None else self.clear_since
        if self.now - self.clear_since >= self.rule.keep_firing_seconds:
            return self.close()
        return self._resume()

    def miss(self, reason: str) -> list[Change]:
        lack = self.rule.no_data_severity if reason == "no_data" else None
        if self.severity is None and self.since is None and lack is None:
            return self._rest()
        self.shown = State.NO_DATA
        self.silent_since = self.now if self.silent_since is None else self.silent_since
        if self.now - self.silent_since < self.rule.no_data_seconds:
            return []
        if self.severity is not None:
            if self.silence_told:
                return []
            self.silence_told = True
            worse = rank(lack) > rank(self.severity)
            return [Change.NO_DATA, *(self._shift(lack) if lack and worse else [])]
        if lack is None:
            return self._rest()
        if self.resolve_untold:
            return []
        self.severity, self.silence_told = lack, True
        return [Change.FIRED]

    def fail(self) -> list[Change]:
        if self.shown is not State.INACTIVE:
            self.shown = State.ERROR
        return []

    def close(self) -> list[Change]:
        changes = [] if self.severity is None else [Change.RESOLVED]
        self.resolve_untold = self.resolve_untold or bool(changes)
        self._rest()
        return changes

    def _rest(self) -> list[Change]:
        self.shown, self.severity, self.silence_told = State.INACTIVE, None, False
        self.since = self.clear_since = self.silent_since = None
        return []

    def _resume(self) -> list[Change]:
        told, self.silence_told = self.silence_told, False
        return [Change.RESUMED] if told else []

    def _shift(self, level: Severity) -> list[Change]:
        before, self.severity = rank(self.severity), level
        if level.rank == before:
            return []
        return [Change.ESCALATED if level.rank > before else Change.DEESCALATED]


class Histories(RuleBasedStateMachine):
    alert: Alert
    model: Model

    def __init__(self) -> None:
        super().__init__()
        self.history: list[Transition] = []

    @initialize(hold=durations, keep=durations, silent=durations, lack=st.none() | severities)
    def begin(self, hold: float, keep: float, silent: float, lack: Severity | None) -> None:
        given = Rule(
            "Slow",
            "performance",
            CONDITION,
            for_seconds=hold,
            keep_firing_seconds=keep,
            no_data_seconds=silent,
            no_data_severity=lack,
        )
        self.model = Model(given)
        self.alert = Alert("f" * 16, {"alertname": "Slow"}, given.name)

    @rule(level=severities, value=st.sampled_from([3.0, 4.0]))
    def breach(self, level: Severity, value: float) -> None:
        self._advance(Finding(level, value, 2.0, 30.0), self.model.breach(level))

    @rule()
    def clear(self) -> None:
        self._advance(Finding(None, 0.5, 1.0, 30.0), self.model.clear())

    @rule(reason=st.sampled_from(["no_data", "insufficient_data"]))
    def miss(self, reason: str) -> None:
        self._advance(Missing(reason), self.model.miss(reason))

    @rule(reason=st.sampled_from(["metrics-svc does not answer", "refused"]))
    def fail(self, reason: str) -> None:
        self._advance(Failed(reason), self.model.fail())

    @rule(seconds=st.sampled_from([1.0, 4.0, 5.0, 30.0, 60.0, 600.0]))
    def time_passes(self, seconds: float) -> None:
        self.model.now += seconds

    @rule()
    def restart(self) -> None:
        stored = msgspec.msgpack.encode(self.alert)

        self.alert = msgspec.msgpack.decode(stored, type=Alert)

    @rule()
    def tell(self) -> None:
        incident = self.alert.incident
        if incident is not None:
            left = replace(incident, owed=None, owed_at=None, told_severity=incident.severity)
            done = incident.resolved_at is not None
            self.alert = replace(self.alert, incident=None if done else left)
        self.model.resolve_untold = False

    @rule()
    def close(self) -> None:
        step = machine.resolve(self.alert, own=self.model.now, reason="closed")
        self._took(step, self.model.close())

    def _advance(self, outcome: Outcome, expected: list[Change]) -> None:
        now, given = self.model.now, self.model.rule
        step = machine.advance(self.alert, outcome, given, own=now)
        self._took(step, expected)
        again = machine.advance(self.alert, outcome, given, own=now)
        assert again[0] == self.alert
        assert again[1] == ()

    def _took(self, step: machine.Step, expected: list[Change]) -> None:
        self.alert, transitions = step
        assert [transition.change for transition in transitions] == expected
        self.history.extend(transitions)

    @invariant()
    def alert_is_as_the_model_says(self) -> None:
        incident = machine.open_incident(self.alert)
        assert self.alert.state is self.model.shown
        assert (incident.severity if incident else None) == self.model.severity
        if self.alert.state is State.INACTIVE:
            assert self.alert.severity is None
            assert self.alert.active_at is None
            assert incident is None

    @invariant()
    def something_is_owed_of_what_was_not_told(self) -> None:
        incident = self.alert.incident
        if incident is None:
            return
        assert (incident.owed is Change.RESOLVED) is (incident.resolved_at is not None)
        if incident.told_severity is None and incident.resolved_at is None:
            assert incident.owed is Change.FIRED
        assert (incident.owed is None) is (incident.owed_at is None)

    @invariant()
    def history_is_whole(self) -> None:
        expected: tuple[str | None, int] = (None, 0)
        for line in self.history:
            identity, sequence = expected
            assert (line.change is Change.FIRED) is (identity is None)
            assert line.sequence == sequence + 1
            assert identity in (None, line.incident)
            over = line.change is Change.RESOLVED
            expected = (None, 0) if over else (line.incident, line.sequence)


Histories.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestHistories = Histories.TestCase
