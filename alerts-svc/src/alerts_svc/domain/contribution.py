"""Who has the greatest share in what a rule is about: which models, or which gap priorities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from alerts_svc.domain.reading import Answer, Group
from alerts_svc.domain.rule import BurnRate, Comparison, Condition, Query, Rule

WHERE = ("operation", "environment")
_LOW = frozenset({Comparison.BELOW, Comparison.AT_MOST})
# A fall of these has no share in anything.
_AMOUNTS = frozenset({"sum", "count", "rate"})
# What a run is made of: its model calls have a model, it has none.
_OF_CALLS = {
    "performance.errors": "llm_call.errors",
    "performance.duration_ms": "llm_call.duration_ms",
}
_MODEL, _PRIORITY = ("model", "model"), ("gap_priority", "gap priority")


@dataclass(frozen=True, slots=True)
class Contribution:
    """What is to be asked; the groups of both queries are ``WHERE`` and then a name, of which ``word`` says what it is.

    The share is that in ``part``. Where a low value is what is wrong, it is that in what is missing: what ``whole`` has beyond
    ``part``, or by how much averages lie below ``threshold``.
    """

    word: str
    part: Query
    whole: Query | None = None
    threshold: float | None = None

    def queries(self) -> tuple[Query, ...]:
        """Return what is to be asked."""
        return (self.part,) if self.whole is None else (self.part, self.whole)


def contributions(rule: Rule | None, window_seconds: int) -> tuple[Contribution, ...]:
    """Return what tells most of a rule's alerts, the best first; nothing for what is not measured here."""
    if rule is None:
        return ()
    condition = rule.condition
    measure = condition.errors if isinstance(condition, BurnRate) else condition.query.measure
    if measure.startswith("probe."):
        return ()
    found = []
    if measure in _OF_CALLS:
        kept = tuple(pair for pair in _filters(condition) if pair[0] in WHERE)
        dimension, word = _MODEL
        calls = Query(_OF_CALLS[measure], "sum", window_seconds, None, (*WHERE, dimension), kept)
        found.append(Contribution(word, calls))
    own = _own(condition, measure, window_seconds)
    return (*found, own) if own is not None else tuple(found)


def _own(condition: Condition, measure: str, window: int) -> Contribution | None:
    dimension, word = _MODEL if measure.startswith("llm_call.") else _PRIORITY
    group_by, filters = (*WHERE, dimension), _filters(condition)
    total = Query(measure, "sum", window, None, group_by, filters)
    if isinstance(condition, BurnRate) or condition.comparison not in _LOW:
        return Contribution(word, total)
    query = condition.query
    if query.aggregation in _AMOUNTS:
        return None
    if query.denominator is not None:
        return Contribution(
            word, total, Query(query.denominator, "sum", window, None, group_by, filters)
        )
    levels = [level for level in (condition.warning, condition.critical) if level is not None]
    average = Query(measure, "avg", window, None, group_by, filters)
    return Contribution(word, average, threshold=max(levels, default=0.0) / condition.scale)


def _filters(condition: Condition) -> tuple[tuple[str, tuple[str | None, ...]], ...]:
    return condition.filters if isinstance(condition, BurnRate) else condition.query.filters


def shares(asked: Contribution, part: Answer, whole: Answer) -> list[tuple[str, float]]:
    """Return names with their share in what is wrong, the greatest first; those that have none are left out."""
    sums: dict[str, float] = {}
    for name, amount in _amounts(asked, part, whole):
        if name is not None and amount > 0:
            sums[name] = sums.get(name, 0.0) + amount
    total = sum(sums.values())
    return sorted(
        ((name, amount / total) for name, amount in sums.items()),
        key=lambda share: (-share[1], share[0]),
    )


def _amounts(
    asked: Contribution, part: Answer, whole: Mapping[Group, tuple[float | None, float]]
) -> Iterable[tuple[str | None, float]]:
    if asked.whole is not None:
        for group, (value, _) in whole.items():
            have = part.get(group, (None, 0.0))[0]
            yield group[-1], (value or 0.0) - (have or 0.0)
        return
    for group, (value, samples) in part.items():
        if value is None:
            continue
        low = asked.threshold is not None
        yield group[-1], samples * ((asked.threshold or 0.0) - value) if low else value
