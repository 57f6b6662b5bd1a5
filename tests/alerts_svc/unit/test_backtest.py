"""Rules run over the past."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from alerts_svc.domain.assessment import queries
from alerts_svc.domain.backtest import Backtest, Episode, Histories, backtest
from alerts_svc.domain.reading import Group
from alerts_svc.domain.rule import (
    BurnRate,
    BurnWindow,
    Comparison,
    Query,
    Rule,
    Threshold,
)
from alerts_svc.domain.severity import Severity

STEP = 600
BEGIN = 1_790_000_400.0
"""A multiple of the step."""
QUERY = Query("performance.duration_ms", "p95", STEP, group_by=("operation",))
RULE = Rule("Slow", "performance", Threshold(QUERY, Comparison.ABOVE, 1.0, 2.0))
WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL


@dataclass(frozen=True, slots=True)
class Measured:
    at: float
    value: float | None
    samples: float


def run(
    rule: Rule, values: Sequence[float | None], *, begin: float = BEGIN, step: int = STEP
) -> Backtest:
    """Run a rule over one group's values; ``None`` is a step without data."""
    points = [
        Measured(BEGIN + index * step, value, 30.0)
        for index, value in enumerate(values)
        if value is not None
    ]
    histories: Histories = {query: {("ask",): points} for query in queries(rule)}
    end = BEGIN + len(values) * step
    return backtest(rule, histories, begin=begin, end=end, step_seconds=step)


def spans(found: Backtest) -> list[tuple[float, float | None]]:
    """Return when each episode began and ended, in steps."""
    return [
        (
            (episode.starts_at - BEGIN) / STEP,
            None if episode.ends_at is None else (episode.ends_at - BEGIN) / STEP,
        )
        for episode in found.episodes
    ]


def pages(found: Backtest) -> list[float]:
    """Return when somebody would have been paged, in steps."""
    return [(at - BEGIN) / STEP for episode in found.episodes for at in episode.pages]


def test_breach_is_an_episode_until_it_is_over() -> None:
    found = run(RULE, [0.5, 1.5, 1.8, 2.5, 1.2, 0.5, 0.5])

    assert found.episodes == (
        Episode(
            labels={"alertname": "Slow", "operation": "ask"},
            severity=CRITICAL,
            starts_at=BEGIN + 2 * STEP,
            ends_at=BEGIN + 6 * STEP,
            peak=2.5,
            pages=(BEGIN + 2 * STEP, BEGIN + 4 * STEP),
        ),
    )
    assert found.pages == 2
    assert found.groups == 1
    assert found.firing_seconds(BEGIN, BEGIN + 7 * STEP) == 4 * STEP


def test_quiet_past_has_no_episodes() -> None:
    found = run(RULE, [0.5] * 10)

    assert found == Backtest((), STEP, 1)


def test_past_without_any_data_has_no_groups() -> None:
    assert backtest(RULE, {}, begin=BEGIN, end=BEGIN + STEP, step_seconds=STEP) == Backtest(
        (), STEP, 0
    )


def test_open_episode_counts_to_the_end() -> None:
    found = run(RULE, [0.5, 1.5, 1.5])

    assert spans(found) == [(2.0, None)]
    assert found.firing_seconds(BEGIN, BEGIN + 3 * STEP) == STEP


def test_nothing_happens_after_the_end_of_a_step_cut_short() -> None:
    end = BEGIN + 2.5 * STEP
    points = [Measured(BEGIN + index * STEP, 1.5, 30.0) for index in (1, 2)]
    waits = replace(RULE, for_seconds=STEP)

    found = backtest(RULE, {QUERY: {("ask",): points}}, begin=BEGIN, end=end, step_seconds=STEP)
    early = backtest(waits, {QUERY: {("ask",): points}}, begin=BEGIN, end=end, step_seconds=STEP)
    last = backtest(RULE, {QUERY: {("ask",): points[1:]}}, begin=BEGIN, end=end, step_seconds=STEP)

    assert (spans(found), found.firing_seconds(BEGIN, end)) == ([(2.0, None)], STEP / 2)
    assert spans(early) == []
    assert (spans(last), last.firing_seconds(BEGIN, end)) == ([(2.5, None)], 0.0)


def test_rise_to_where_it_was_before_waits_for_the_cooldown() -> None:
    rule = replace(RULE, cooldown_seconds=3 * STEP)

    again = run(rule, [2.5, 1.5, 2.5, 1.5, 1.5, 2.5, 1.5])
    stays = run(rule, [2.5, 1.5, 2.5, 2.5, 2.5, 2.5])

    assert pages(again) == [1.0, 6.0]
    assert pages(stays) == [1.0, 4.0]


def test_firing_counts_only_within_the_stretch_asked_for() -> None:
    found = run(RULE, [1.5, 1.5, 1.5, 0.5])

    assert spans(found) == [(1.0, 4.0)]
    assert found.firing_seconds(BEGIN + 2 * STEP, BEGIN + 3 * STEP) == STEP


def test_breach_shorter_than_for_but_longer_than_a_step_fires_within_the_step() -> None:
    found = run(replace(RULE, for_seconds=300, keep_firing_seconds=120), [0.5, 1.5, 0.5, 0.5])

    assert spans(found) == [(2.5, 3.2)]


def test_breach_shorter_than_for_does_not_fire() -> None:
    found = run(replace(RULE, for_seconds=1200), [0.5, 1.5, 1.5, 0.5])

    assert found.episodes == ()


def test_lack_of_data_does_not_end_an_episode() -> None:
    found = run(RULE, [1.5, None, None, 0.5])

    assert spans(found) == [(1.0, 4.0)]


def test_lack_of_data_before_the_first_is_none() -> None:
    lacking = replace(RULE, no_data_severity=WARNING, no_data_seconds=300)

    found = run(lacking, [None, None, 0.5, None, 0.5])

    assert spans(found) == [(4.5, 5.0)]
    assert found.episodes[0].peak is None


def test_lowest_value_is_the_peak_where_low_is_bad() -> None:
    low = Threshold(QUERY, Comparison.BELOW, 1.0)

    found = run(replace(RULE, condition=low), [2.0, 0.5, 0.2, 0.7, 2.0])

    assert found.episodes[0].peak == 0.2


def test_new_episode_within_the_cooldown_pages_only_when_that_is_over() -> None:
    cooled = replace(RULE, cooldown_seconds=2.5 * STEP)

    short = run(cooled, [1.5, 0.5, 1.5, 0.5])
    long = run(cooled, [1.5, 0.5, 1.5, 1.5, 0.5])

    assert (spans(short), pages(short)) == ([(1.0, 2.0), (3.0, 4.0)], [1.0, 3.5])
    assert pages(long) == [1.0, 3.5]


def test_episode_that_ends_within_the_cooldown_pages_nobody() -> None:
    found = run(replace(RULE, cooldown_seconds=4 * STEP), [1.5, 0.5, 1.5, 0.5, 0.5])

    assert spans(found) == [(1.0, 2.0), (3.0, 4.0)]
    assert pages(found) == [1.0]


def test_worse_episode_does_not_wait_for_the_cooldown() -> None:
    cooled = replace(RULE, cooldown_seconds=100 * STEP)

    found = run(cooled, [1.5, 0.5, 2.5, 0.5, 1.5, 2.5, 0.5, 1.5])

    assert pages(found) == [1.0, 3.0]


def test_rise_within_the_cooldown_pages_if_it_is_worse_than_what_was_told() -> None:
    cooled = replace(RULE, cooldown_seconds=100 * STEP)

    found = run(cooled, [1.5, 0.5, 1.5, 2.5, 0.5])

    assert pages(found) == [1.0, 4.0]


def test_open_episode_pages_when_the_cooldown_is_over() -> None:
    found = run(replace(RULE, cooldown_seconds=3 * STEP), [1.5, 0.5, 1.5, 1.5, 1.5, 1.5])

    assert pages(found) == [1.0, 4.0]


def test_begin_within_a_step_belongs_to_the_step() -> None:
    assert spans(run(RULE, [0.5, 1.5, 0.5], begin=BEGIN + 250)) == [(2.0, 3.0)]


def test_longer_window_is_put_together_from_steps() -> None:
    hourly = Threshold(
        Query("llm_call.cost_usd", "sum", 3 * STEP, group_by=("operation",)), Comparison.ABOVE, 1.0
    )

    found = run(replace(RULE, condition=hourly), [0.0, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0])

    assert spans(found) == [(4.0, 5.0)]


def test_burn_rate_is_run_over_all_its_windows() -> None:
    condition = BurnRate(
        "performance.errors",
        "performance.count",
        0.9,
        (BurnWindow(6 * STEP, STEP, 2.0, CRITICAL),),
        ("operation",),
    )

    found = run(replace(RULE, condition=condition), [0.0] * 6 + [1.0] * 3 + [0.0] * 6)

    assert spans(found) == [(8.0, 10.0)]
    assert found.episodes[0].severity is CRITICAL


def test_step_that_two_stretches_share_is_the_fuller_one() -> None:
    points = [
        Measured(BEGIN, 1.5, 30.0),
        Measured(BEGIN, 0.5, 3.0),
        Measured(BEGIN - STEP, 9.0, 9.0),
    ]

    found = backtest(
        RULE, {QUERY: {("ask",): points}}, begin=BEGIN, end=BEGIN + STEP, step_seconds=STEP
    )

    assert spans(found) == [(1.0, None)]


def test_groups_are_told_apart_and_episodes_are_in_order() -> None:
    histories: Histories = {
        QUERY: {
            ("late",): [Measured(BEGIN, 0.5, 9.0), Measured(BEGIN + STEP, 1.5, 9.0)],
            ("early",): [Measured(BEGIN, 1.5, 9.0), Measured(BEGIN + STEP, 0.5, 9.0)],
        }
    }

    found = backtest(RULE, histories, begin=BEGIN, end=BEGIN + 2 * STEP, step_seconds=STEP)

    assert [episode.labels["operation"] for episode in found.episodes] == ["early", "late"]
    assert found.groups == 2


@pytest.mark.parametrize("breaching", [0.01, 0.1])
def test_month_of_twenty_groups_is_gone_through(breaching: float) -> None:
    chance = random.Random(20)
    points: dict[Group, list[Measured]] = {
        (f"operation-{group}",): [
            Measured(BEGIN + index * STEP, 1.5 if chance.random() < breaching else 0.5, 30.0)
            for index in range(4320)
        ]
        for group in range(20)
    }

    found = backtest(
        replace(RULE, for_seconds=300),
        {QUERY: points},
        begin=BEGIN,
        end=BEGIN + 4320 * STEP,
        step_seconds=STEP,
    )

    assert len(found.episodes) > 500
