"""From a rule to what has to be asked, and from the answers to what they say of each of its alerts."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping

from alerts_svc.domain import burn
from alerts_svc.domain.labels import ALERTNAME, SEVERITY, safe
from alerts_svc.domain.reading import Answer, Finding, Group, Missing, Reading
from alerts_svc.domain.rule import BurnRate, Comparison, Condition, Query, Rule, Threshold
from alerts_svc.domain.severity import Severity, rank

# More combinations of filters than this are not looked for by name: what exists is in the answer.
MAX_EXPECTED = 1000
# What differs by no more than this share of it is the same value.
_SAME = 1e-9
_NOTHING: tuple[float | None, float] = (None, 0.0)
_OF_NOTHING: Answer = {}


@functools.lru_cache(maxsize=2048)
def condition_queries(condition: Condition) -> tuple[Query, ...]:
    """Return the questions of a condition; a reading's values are in their order."""
    if isinstance(condition, BurnRate):
        return burn.queries(condition)
    return (condition.query,)


def queries(rule: Rule) -> tuple[Query, ...]:
    """Return the questions of a rule; a reading's values are in their order."""
    return condition_queries(rule.condition)


def readings(rule: Rule, answers: Mapping[Query, Answer]) -> dict[Group, Reading]:
    """Return what the answers say of each group of the rule.

    Groups that the rule names itself are there even when no answer has them: the one of a rule without ``group_by``, and
    those of which each dimension is filtered. In a burn rate a value of fewer than ``min_samples`` is left out on its own,
    because its windows differ in length.
    """
    asked = queries(rule)
    first = answers.get(asked[0], _OF_NOTHING)
    expected = _expected(asked[0])
    if len(asked) == 1:
        found = {group: Reading((value,), samples) for group, (value, samples) in first.items()}
        for group in expected:
            if group not in found:
                found[group] = Reading((None,), 0.0)
        return found
    told = [answers.get(query, _OF_NOTHING) for query in asked]
    groups = dict.fromkeys(itertools.chain(*told, expected))
    return {
        group: _joined(rule, [answer.get(group, _NOTHING) for answer in told]) for group in groups
    }


def assess(rule: Rule, reading: Reading, level: Severity | None) -> Finding | Missing:
    """Hold a reading against the rule. ``level`` is what the alert fires with (see ``machine.level_of``)."""
    condition = rule.condition
    if isinstance(condition, BurnRate):
        return burn.assess(condition, reading, level)
    value, samples = reading.values[0], reading.samples
    # Written so that samples which are no number are too few.
    if not samples >= rule.min_samples:
        return Missing("insufficient_data" if samples > 0 else "no_data", samples)
    if value is None or not math.isfinite(scaled := value * condition.scale):
        return Missing("no_data", samples)
    return _held_against(condition, scaled, samples, rank(level))


def labels_of(rule: Rule, group: Group) -> dict[str, str]:
    """Return the labels that identify the alert of a group; a dimension without a value is left out.

    The severity is none of them, so that an alert which rises stays the same alert.
    """
    dimensions = zip(queries(rule)[0].group_by, group, strict=True)
    named = {name: value for name, value in dimensions if value is not None}
    labels = {**rule.labels, **named, ALERTNAME: rule.name}
    labels.pop(SEVERITY, None)
    return safe(labels)


def _held_against(condition: Threshold, value: float, samples: float, held: int) -> Finding:
    compared = 0.0
    for severity, threshold in (
        (Severity.CRITICAL, condition.critical),
        (Severity.WARNING, condition.warning),
    ):
        if threshold is not None:
            compared = threshold
            margin = condition.hysteresis if held >= severity.rank else 0.0
            if _passes(condition.comparison, value, threshold, margin):
                return Finding(severity, value, threshold, samples)
    return Finding(None, value, compared, samples)


def _passes(comparison: Comparison, value: float, threshold: float, margin: float) -> bool:
    above = comparison in (Comparison.ABOVE, Comparison.AT_LEAST)
    limit = threshold - margin if above else threshold + margin
    # Percentages and sums are seldom exact in binary: 100 * 0.07 is more than 7.
    if math.isclose(value, limit, rel_tol=_SAME):
        return comparison in (Comparison.AT_LEAST, Comparison.AT_MOST)
    return value > limit if above else value < limit


def _joined(rule: Rule, measured: list[tuple[float | None, float]]) -> Reading:
    values = tuple(value if samples >= rule.min_samples else None for value, samples in measured)
    return Reading(values, min(samples for _, samples in measured))


@functools.lru_cache(maxsize=2048)
def _expected(query: Query) -> tuple[Group, ...]:
    filters = dict(query.filters)
    named = [filters.get(dimension, ()) for dimension in query.group_by]
    if math.prod(len(values) for values in named) > MAX_EXPECTED:
        return ()
    return tuple(itertools.product(*named))
