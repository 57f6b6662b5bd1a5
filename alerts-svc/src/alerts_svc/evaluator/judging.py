"""One evaluation: every group of every rule, held against what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from alerts_svc.clients.measures import Answers
from alerts_svc.domain import machine
from alerts_svc.domain.alert import Alert, Transition
from alerts_svc.domain.assessment import assess, labels_of, queries, readings
from alerts_svc.domain.labels import ALERTNAME, Labels, clean, fingerprint
from alerts_svc.domain.reading import Failed, Finding, Group, Missing, Outcome
from alerts_svc.domain.rule import Query, Rule
from alerts_svc.domain.world import Changes, Evaluation

Asked = Answers | Failed
Newest = Callable[[str | None], float | None]


@dataclass(slots=True)
class Judgement:
    """What one evaluation says: alerts that are to be kept, those that are not, and the values for the timeline.

    ``changed`` are those of which more is new than what was measured; ``forgotten`` need not be kept.
    """

    own: float
    alerts: list[Alert] = field(default_factory=list)
    changed: list[Alert] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    fingerprints: list[str] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)
    samples: list[float] = field(default_factory=list)

    def measured(self, identity: str, outcome: Outcome) -> None:
        """Note a value for the timeline."""
        self.fingerprints.append(identity)
        self.values.append(outcome.value if isinstance(outcome, Finding) else None)
        self.samples.append(0.0 if isinstance(outcome, Failed) else outcome.samples)

    def judged(
        self, before: Alert, step: machine.Step, rule: Rule | None, *, stored: bool = True
    ) -> None:
        """Note what an outcome has made of an alert; ``stored`` says that it was kept before."""
        after, transitions = step
        self.transitions.extend(transitions)
        if machine.forgettable(after, rule, own=self.own):
            if stored:
                self.forgotten.append(after.fingerprint)
        elif after is not before or not stored:
            self.alerts.append(after)
            if transitions or not stored or not machine.only_measured(before, after):
                self.changed.append(after)

    def everything(self) -> Changes:
        """Return all that is known now, to go on from in memory."""
        return Changes(alerts=self.alerts, forgotten=self.forgotten)

    def written(self) -> Changes:
        """Return what is to be written at once."""
        evaluation = Evaluation(self.own, self.fingerprints, self.values, self.samples)
        return Changes(
            alerts=self.changed,
            forgotten=self.forgotten,
            transitions=self.transitions,
            evaluation=evaluation if self.fingerprints else None,
        )


@dataclass(slots=True)
class _Known:
    """What follows from a rule alone."""

    rule: Rule
    queries: tuple[Query, ...]
    identities: dict[Group, tuple[Labels, str]] = field(default_factory=dict)


class Judge:
    """Holds what was measured against the rules; remembers nothing but what follows from the rules alone."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def queries(self, rules: Iterable[Rule]) -> list[Query]:
        """Return what to ask for these rules, each question once."""
        return list(dict.fromkeys(query for rule in rules for query in self._of(rule).queries))

    def judge(
        self,
        made: Judgement,
        rules: Iterable[Rule],
        alerts: Mapping[str, Alert],
        asked: Asked,
        *,
        newest: Newest = lambda _: None,
    ) -> None:
        """Judge these rules and those of ``alerts`` that are theirs, and note it in ``made``."""
        by_rule: dict[str, list[Alert]] = {}
        for alert in alerts.values():
            if alert.rule is not None:
                by_rule.setdefault(alert.rule, []).append(alert)
        for rule in rules:
            self._judge(made, rule, by_rule.get(rule.name, ()), asked, newest)

    def _judge(
        self, made: Judgement, rule: Rule, kept: Sequence[Alert], asked: Asked, newest: Newest
    ) -> None:
        known = self._of(rule)
        outcomes: Iterator[tuple[Alert | None, Labels, str, Outcome]]
        reason = _unanswered(known.queries, asked)
        if reason is None:
            assert isinstance(asked, Answers)
            outcomes = self._outcomes(known, {alert.fingerprint: alert for alert in kept}, asked)
        else:
            failed = Failed(reason)
            outcomes = ((alert, alert.labels, alert.fingerprint, failed) for alert in kept)
        for alert, labels, identity, outcome in outcomes:
            made.measured(identity, outcome)
            if alert is None and not _matters(outcome, rule):
                continue
            before = alert or Alert(identity, labels, rule.name)
            operation = labels.get("operation")
            step = machine.advance(before, outcome, rule, own=made.own, event_at=newest(operation))
            made.judged(before, step, rule, stored=alert is not None)

    def _outcomes(
        self, known: _Known, kept: dict[str, Alert], answers: Answers
    ) -> Iterator[tuple[Alert | None, Labels, str, Outcome]]:
        rule = known.rule
        for group, reading in readings(rule, answers.found).items():
            named = known.identities.get(group)
            if named is None:
                labels = labels_of(rule, group)
                named = known.identities[group] = (labels, fingerprint(labels))
            alert = kept.pop(named[1], None)
            level = machine.level_of(alert) if alert is not None else None
            yield alert, named[0], named[1], assess(rule, reading, level)
        for identity, left in kept.items():
            if orphaned(rule, left.labels) is None:
                yield left, left.labels, identity, Missing("no_data")

    def _of(self, rule: Rule) -> _Known:
        known = self._known.get(rule.name)
        # Loading the store anew makes equal rules, which say the same.
        if known is None or (known.rule is not rule and known.rule != rule):
            known = self._known[rule.name] = _Known(rule, queries(rule))
        return known

    def forget(self, rules: Mapping[str, Rule]) -> None:
        """Forget rules that are not among these."""
        for name in self._known.keys() - rules.keys():
            del self._known[name]


def _matters(outcome: Outcome, rule: Rule) -> bool:
    """Return whether an outcome changes an alert that is at rest."""
    if isinstance(outcome, Finding):
        return outcome.level is not None
    return isinstance(outcome, Missing) and rule.no_data_severity is not None


def _unanswered(asked: Sequence[Query], answers: Asked) -> str | None:
    """Return why these queries have no answer, ``None`` if they have."""
    if isinstance(answers, Failed):
        return answers.reason
    for query in asked:
        if query in answers.refused:
            return answers.refused[query]
        if query not in answers.found:
            # The rule was changed while the answer was on its way.
            return "not asked yet"
    return None


def orphaned(rule: Rule | None, labels: Labels) -> str | None:
    """Return why a rule can no longer say anything of an alert with these labels, ``None`` if it can."""
    if rule is None:
        return "rule_deleted"
    if not rule.enabled:
        return "rule_disabled"
    asked = queries(rule)[0]
    if any(
        labels.get(name, "") != clean(value)
        for name, value in rule.labels.items()
        if name not in asked.group_by
    ):
        return "rule_changed"
    if labels.keys() - {ALERTNAME, *rule.labels, *asked.group_by}:
        return "rule_changed"
    return "rule_changed" if _is_left_out(asked, labels) else None


def _is_left_out(asked: Query, labels: Labels) -> bool:
    """Return whether the filters no longer let through what the labels say; no value reads as an empty one."""
    for name, values in asked.filters:
        if name in asked.group_by:
            said = labels.get(name, "")
            if said not in values and all(said != clean(value or "") for value in values):
                return True
    return False
