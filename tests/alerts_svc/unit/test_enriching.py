"""Details of pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from alerts_svc.clients.measures import Answers, History
from alerts_svc.domain.reading import Answer
from alerts_svc.domain.rule import Comparison, Query, Rule, Threshold
from alerts_svc.evaluator.enriching import MAX_QUESTIONS, Enricher
from alerts_svc.wire.defaults import default_rules
from tests.alerts_svc.messages import ITEM, MESSAGE, NOW, RESOLVED

RULES = {rule.name: rule for rule in default_rules()}
LABELS = {"operation": "chat", "environment": "production"}
PAGE = replace(MESSAGE, details=None, items=(replace(ITEM, rule="LowCacheHitRate", labels=LABELS),))


@dataclass(slots=True)
class Fake:
    """Answers by measure and aggregation, to all other questions nothing; some are refused."""

    answers: Mapping[tuple[str, str], Answer] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()
    asked: list[Query] = field(default_factory=list)

    async def ask(
        self, queries: Sequence[Query], *, wall: float, seconds: float | None = None
    ) -> Answers:
        self.asked += queries
        return Answers(
            {
                query: self.answers.get((query.measure, query.aggregation), {})
                for query in queries
                if query.measure not in self.refused
            }
        )

    async def history(
        self, queries: Sequence[Query], *, begin: float, end: float, step_seconds: int
    ) -> Mapping[Query, History]:
        raise NotImplementedError


MEASURED: Mapping[tuple[str, str], Answer] = {
    ("performance.duration_ms", "avg"): {
        ("chat", "production"): (100.0, 10.0),
        ("chat", "staging"): (900.0, 90.0),
        ("search", "production"): (500.0, 20.0),
    },
    ("llm_call.cost_usd", "sum"): {("chat", "production"): (0.1, 4.0), ("chat", "x"): (9.0, 9.0)},
    ("llm_call.cache_hits", "sum"): {("chat", "production", "big"): (1.0, 5.0)},
    ("llm_call.count", "sum"): {
        ("chat", "production", "big"): (4.0, 5.0),
        ("chat", "production", "small"): (1.0, 1.0),
        ("search", "production", "other"): (99.0, 99.0),
    },
}


async def test_details_are_of_the_operation_and_environment_that_fire() -> None:
    (told,) = await Enricher(Fake(MEASURED)).enriched([PAGE], RULES, wall=NOW)

    assert told.details is not None
    assert told.details.operations == ("chat",)
    assert told.details.average_ms == 100.0
    assert told.details.cost_per_hour_usd == 1.2
    assert told.details.top == (("model big", 0.75), ("model small", 0.25))


async def test_an_alert_of_no_operation_is_told_with_the_busiest() -> None:
    page = replace(PAGE, items=(replace(PAGE.items[0], labels={"alertname": "x"}),))

    (told,) = await Enricher(Fake(MEASURED)).enriched([page], RULES, wall=NOW)

    assert told.details is not None
    assert told.details.operations == ("chat", "search")
    assert told.details.average_ms == (100 * 10 + 900 * 90 + 500 * 20) / 120


async def test_shares_are_left_out_where_half_of_them_is_not_known() -> None:
    fake = Fake(MEASURED, refused=frozenset({"llm_call.cache_hits"}))

    (told,) = await Enricher(fake).enriched([PAGE], RULES, wall=NOW)

    assert told.details is not None
    assert told.details.average_ms == 100.0
    assert told.details.top == ()


async def test_what_is_over_is_told_without_details_and_without_asking() -> None:
    fake = Fake(MEASURED)

    assert await Enricher(fake).enriched([RESOLVED], RULES, wall=NOW) == [RESOLVED]
    assert fake.asked == []


async def test_many_rules_at_once_are_asked_about_within_bounds() -> None:
    names = [f"rule{number}" for number in range(100)]
    rules = {
        name: Rule(name, "g", Threshold(Query(name, "sum", 60), Comparison.ABOVE, warning=1.0))
        for name in names
    }
    pages = [replace(PAGE, id=name, items=(replace(ITEM, rule=name),)) for name in names]
    fake = Fake(MEASURED)

    told = await Enricher(fake).enriched(pages, rules, wall=NOW)

    assert len(fake.asked) == MAX_QUESTIONS
    assert all(message.details is not None for message in told)
