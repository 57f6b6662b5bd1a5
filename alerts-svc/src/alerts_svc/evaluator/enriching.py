"""What helps to see what a page means: looked up once for all messages of a tick, and left out when that fails."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import structlog

from alerts_svc.clients.measures import Answers, Measures, MeasuresError
from alerts_svc.domain.alert import Change
from alerts_svc.domain.contribution import WHERE, Contribution, contributions, shares
from alerts_svc.domain.message import Details, Item, Message
from alerts_svc.domain.reading import Answer, Group
from alerts_svc.domain.rule import Query, Rule

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 1.0
SHORTEST, LONGEST = 60, 3_600
MAX_OPERATIONS = 10
MAX_TOP = 3
MAX_QUESTIONS = 60
UNAVAILABLE = Details(note="details unavailable")
_PAGES = frozenset({Change.FIRED, Change.ESCALATED})
# Operation and environment of an alert; one that it does not have may be any.
_Place = tuple[str | None, str | None]
Value = tuple[float | None, float]


class Enricher:
    """Puts details into messages that tell of something that fired or has become worse."""

    def __init__(self, measures: Measures) -> None:
        self._measures = measures

    async def enriched(
        self, messages: Sequence[Message], rules: Mapping[str, Rule], *, wall: float
    ) -> Sequence[Message]:
        """Return the messages, with details where they page; their ids stay. Whatever fails here, they are told."""
        try:
            return await self._enriched(messages, rules, wall=wall)
        except Exception:
            log.exception("details_failed", messages=len(messages))
            return [_with(message, UNAVAILABLE) for message in messages]

    async def _enriched(
        self, messages: Sequence[Message], rules: Mapping[str, Rule], *, wall: float
    ) -> Sequence[Message]:
        window = _window(messages)
        asked = [_Asked.about(message, rules, window) for message in messages if _pages(message)]
        if not asked:
            return messages
        # What all have in common comes first, so in a storm of many rules it is the shares that are left out.
        common = [query for each in asked for query in each.common()]
        further = [query for each in asked for query in each.further()]
        questions = list(dict.fromkeys((*common, *further)))[:MAX_QUESTIONS]
        try:
            answers = await self._measures.ask(questions, wall=wall, seconds=TIMEOUT_SECONDS)
        except MeasuresError:
            return [_with(message, UNAVAILABLE) for message in messages]
        known = _Known(answers)
        details = {each.message.id: each.details(known) for each in asked}
        return [_with(message, details.get(message.id)) for message in messages]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked about a message."""

    message: Message
    window: int
    average: Query
    errors: Query
    spent: Query
    contributions: tuple[Contribution, ...]

    @classmethod
    def about(cls, message: Message, rules: Mapping[str, Rule], window: int) -> _Asked:
        rule = rules.get(_paging(message)[0].rule or "")
        return cls(
            message,
            window,
            Query("performance.duration_ms", "avg", window, None, WHERE),
            Query("performance.errors", "ratio", window, "performance.count", WHERE),
            Query("llm_call.cost_usd", "sum", window, None, WHERE),
            contributions(rule, window),
        )

    def common(self) -> tuple[Query, ...]:
        return self.average, self.errors, self.spent

    def further(self) -> list[Query]:
        return [query for each in self.contributions for query in each.queries()]

    def details(self, known: _Known) -> Details:
        places = _places(self.message)
        average = known.only(self.average, places)
        spent = _total(known.only(self.spent, places))
        told = dict.fromkeys(operation for operation, _ in places if operation)
        return Details(
            operations=tuple(told or _busiest(average))[:MAX_OPERATIONS],
            average_ms=_mean(average),
            error_rate=_mean(known.only(self.errors, places)),
            cost_per_hour_usd=None if spent is None else spent * 3_600 / self.window,
            top=self._top(known, places),
        )

    def _top(self, known: _Known, places: Sequence[_Place]) -> tuple[tuple[str, float], ...]:
        for each in self.contributions:
            if any(query not in known.found for query in each.queries()):
                continue
            part = known.only(each.part, places)
            whole = known.only(each.whole, places) if each.whole is not None else {}
            if found := shares(each, part, whole):
                return tuple((f"{each.word} {name}", share) for name, share in found[:MAX_TOP])
        return ()


class _Known:
    """Answers, by operation: in a storm a hundred messages ask of ten thousand operations, each of its own alone."""

    def __init__(self, answers: Answers) -> None:
        self.found = answers.found
        self._by_operation: dict[Query, dict[str | None, dict[Group, Value]]] = {}

    def only(self, query: Query, places: Sequence[_Place]) -> Answer:
        """Return what was answered of any of the places."""
        wanted = frozenset(places)
        return {
            group: told
            for answer in self._near(query, wanted)
            for group, told in answer.items()
            if not wanted.isdisjoint(product((group[0], None), (group[1], None)))
        }

    def _near(self, query: Query, wanted: frozenset[_Place]) -> list[Answer]:
        operations = {operation for operation, _ in wanted}
        if None in operations:
            return [self.found.get(query, {})]
        if query not in self._by_operation:
            parts: dict[str | None, dict[Group, Value]] = {}
            for group, told in self.found.get(query, {}).items():
                parts.setdefault(group[0], {})[group] = told
            self._by_operation[query] = parts
        known = self._by_operation[query]
        return [known[operation] for operation in operations if operation in known]


def _paging(message: Message) -> list[Item]:
    return [item for item in message.items if item.change in _PAGES]


def _pages(message: Message) -> bool:
    return bool(_paging(message))


def _with(message: Message, details: Details | None) -> Message:
    return replace(message, details=details) if _pages(message) else message


def _window(messages: Iterable[Message]) -> int:
    windows = [item.window_seconds or 0 for message in messages for item in message.items]
    # Whole minutes, so that the answer covers what it says.
    return min(LONGEST, max(SHORTEST, max(windows, default=0) // 60 * 60))


def _places(message: Message) -> list[_Place]:
    found = ((item.labels.get(WHERE[0]), item.labels.get(WHERE[1])) for item in _paging(message))
    return list(dict.fromkeys(found))


def _total(answer: Answer) -> float | None:
    values = [value for value, _ in answer.values() if value is not None]
    return sum(values) if values else None


def _mean(answer: Answer) -> float | None:
    """Return the mean of the groups' averages, each with the weight of its samples."""
    weighed = [(value, count) for value, count in answer.values() if value is not None and count]
    total = sum(count for _, count in weighed)
    return sum(value * count for value, count in weighed) / total if total else None


def _busiest(answer: Answer) -> list[str]:
    samples: dict[str, float] = {}
    for group, (_, count) in answer.items():
        if group[0] is not None:
            samples[group[0]] = samples.get(group[0], 0.0) + count
    return sorted(samples, key=lambda name: -samples[name])[:3]
