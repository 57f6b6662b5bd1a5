"""What a rule would have done in the past: the real assessment and state machine, run over measured steps.

Each step's reading is taken for what was measured until the next one, so durations shorter than a step still count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from alerts_svc.domain import machine
from alerts_svc.domain.alert import Alert, Change, State
from alerts_svc.domain.assessment import assess, labels_of, queries, readings
from alerts_svc.domain.labels import fingerprint
from alerts_svc.domain.reading import Finding, Group, Outcome, Reading
from alerts_svc.domain.rule import Comparison, Query, Rule, Threshold
from alerts_svc.domain.severity import Severity, rank
from alerts_svc.domain.windowing import rolled

_LOW = (Comparison.BELOW, Comparison.AT_MOST)


class Point(Protocol):
    """What was measured in the step that begins at ``at`` (Unix seconds)."""

    @property
    def at(self) -> float: ...
    @property
    def value(self) -> float | None: ...
    @property
    def samples(self) -> float: ...


Histories = Mapping[Query, Mapping[Group, Sequence[Point]]]


@dataclass(frozen=True, slots=True)
class Episode:
    """One incident that there would have been. ``ends_at`` is ``None`` for one that was open at the end.

    ``severity`` is the greatest that it reached, ``peak`` the value furthest over the threshold, ``pages`` when
    somebody would have been told of it, after the cooldown.
    """

    labels: dict[str, str]
    severity: Severity
    starts_at: float
    ends_at: float | None
    peak: float | None
    pages: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Backtest:
    """All episodes, oldest first. ``step_seconds`` is how fine it was looked at."""

    episodes: tuple[Episode, ...]
    step_seconds: int
    groups: int

    @property
    def pages(self) -> int:
        """Return how often somebody would have been told that something is wrong."""
        return sum(len(episode.pages) for episode in self.episodes)

    def firing_seconds(self, begin: float, end: float) -> float:
        """Return how long alerts fired between ``begin`` and ``end``, in sum."""
        return sum(
            max(0.0, min(episode.ends_at or end, end) - max(episode.starts_at, begin))
            for episode in self.episodes
        )


def backtest(
    rule: Rule, histories: Histories, *, begin: float, end: float, step_seconds: int
) -> Backtest:
    """Return what ``rule`` would have done from ``begin`` to ``end``.

    ``histories`` answer the rule's queries in steps, which begin at multiples of ``step_seconds``; one that is not there
    had no data. Windows of several steps are put together from them (see ``windowing``). A group counts from the first
    step in which there was anything of it.
    """
    first = math.floor(begin / step_seconds) * step_seconds
    count = max(1, math.ceil((end - first) / step_seconds))
    series = {
        query: {
            group: rolled(
                query, _by_step(points, first, step_seconds, count), step_seconds=step_seconds
            )
            for group, points in histories.get(query, {}).items()
        }
        for query in queries(rule)
    }
    runs: dict[Group, _Run] = {}
    for index in range(count):
        # The last step may be cut short: nothing happens after the end.
        at = min(float(first + (index + 1) * step_seconds), end)
        answers = {
            query: {group: steps[index] for group, steps in groups.items()}
            for query, groups in series.items()
        }
        for group, reading in readings(rule, answers).items():
            run = runs.get(group)
            if run is None:
                if not reading.samples > 0:
                    continue
                run = runs[group] = _Run(rule, group)
            run.measured(reading, at, until=min(at + step_seconds, end))
    episodes = [episode for run in runs.values() for episode in run.finished(end)]
    episodes.sort(key=lambda episode: (episode.starts_at, sorted(episode.labels.items())))
    return Backtest(tuple(episodes), step_seconds, len(runs))


def _by_step(
    points: Sequence[Point], first: int, step_seconds: int, count: int
) -> list[tuple[float | None, float]]:
    steps: list[tuple[float | None, float]] = [(None, 0.0)] * count
    for point in points:
        index = round((point.at - first) / step_seconds)
        # A step that two stretches of a history share is in both, in one of them cut short.
        if 0 <= index < count and point.samples >= steps[index][1]:
            steps[index] = (point.value, point.samples)
    return steps


class _Run:
    """One group of the rule, through all steps."""

    def __init__(self, rule: Rule, group: Group) -> None:
        labels = labels_of(rule, group)
        self._rule = rule
        self._alert = Alert(fingerprint(labels), labels, rule.name)
        self._pager = _Pager(rule.cooldown_seconds)
        self._worse = min if _is_low(rule) else max
        self._open: Episode | None = None
        self._peak: float | None = None
        self._closed: list[Episode] = []

    def measured(self, reading: Reading, at: float, *, until: float) -> None:
        """Take a reading that holds from ``at`` until the next one."""
        outcome = assess(self._rule, reading, machine.level_of(self._alert))
        self._advance(outcome, at)
        while (due := self._next_due()) is not None and at < due < until:
            at = due
            self._advance(outcome, at)

    def finished(self, end: float) -> list[Episode]:
        """Return all episodes, the open one too."""
        if self._open is not None:
            self._close(self._open, end, ends_at=None)
        return self._closed

    def _advance(self, outcome: Outcome, at: float) -> None:
        self._alert, transitions = machine.advance(self._alert, outcome, self._rule, own=at)
        for transition in transitions:
            self._follow(transition.change, transition.severity or Severity.WARNING, at)
        if self._open is not None and isinstance(outcome, Finding):
            known = self._peak
            self._peak = outcome.value if known is None else self._worse(known, outcome.value)

    def _follow(self, change: Change, severity: Severity, at: float) -> None:
        if change is Change.FIRED:
            self._pager.fired(severity, at)
            self._open = Episode(dict(self._alert.labels), severity, at, None, None, ())
        elif self._open is not None and change is Change.ESCALATED:
            self._pager.escalated(severity, at)
            worst = max(self._open.severity, severity, key=rank)
            self._open = replace(self._open, severity=worst)
        elif self._open is not None and change is Change.DEESCALATED:
            self._pager.deescalated(severity, at)
        elif self._open is not None and change is Change.RESOLVED:
            self._close(self._open, at, ends_at=at)
            self._alert = replace(self._alert, incident=None)

    def _close(self, episode: Episode, at: float, *, ends_at: float | None) -> None:
        pages = self._pager.ended(at)
        self._closed.append(replace(episode, ends_at=ends_at, peak=self._peak, pages=pages))
        self._open, self._peak = None, None

    def _next_due(self) -> float | None:
        """Return when the alert changes next if nothing else is measured."""
        alert, rule = self._alert, self._rule
        if alert.no_data_at is not None:
            return alert.no_data_at + rule.no_data_seconds
        if alert.clear_at is not None:
            return alert.clear_at + rule.keep_firing_seconds
        if alert.state is State.PENDING and alert.active_at is not None:
            return alert.active_at + rule.for_seconds
        return None


class _Pager:
    """When somebody would have been told.

    A new episode waits for the cooldown, and so does a rise to where it was before, unless it is worse than what was told.
    """

    def __init__(self, cooldown_seconds: float) -> None:
        self._cooldown = cooldown_seconds
        self._told_at: float | None = None
        self._told_severity: Severity | None = None
        self._held: Severity | None = None
        self._rose = False
        self._pages: list[float] = []

    def fired(self, severity: Severity, at: float) -> None:
        self._rose = False
        self._news(severity, at)

    def escalated(self, severity: Severity, at: float) -> None:
        self._wait(at)
        self._rose = self._rose or self._held is None
        self._news(severity, at)

    def deescalated(self, severity: Severity, at: float) -> None:
        self._wait(at)
        if self._held is not None:
            # A rise that is over before it was told is no news.
            self._held = None if self._rose else severity
            self._rose = False

    def _news(self, severity: Severity, at: float) -> None:
        cool = self._told_at is None or at >= self._told_at + self._cooldown
        if cool or severity.rank > rank(self._told_severity):
            self._tell(severity, at)
        else:
            self._held = severity

    def ended(self, at: float) -> tuple[float, ...]:
        """Return the pages of the episode that ends."""
        self._wait(at)
        pages, self._pages, self._held = tuple(self._pages), [], None
        return pages

    def _wait(self, until: float) -> None:
        if self._held is not None and self._told_at is not None:
            free_at = self._told_at + self._cooldown
            if free_at < until:
                self._tell(self._held, free_at)

    def _tell(self, severity: Severity, at: float) -> None:
        self._pages.append(at)
        self._told_at, self._told_severity, self._held = at, severity, None
        self._rose = False


def _is_low(rule: Rule) -> bool:
    """Return whether low values are the bad ones."""
    condition = rule.condition
    return isinstance(condition, Threshold) and condition.comparison in _LOW
