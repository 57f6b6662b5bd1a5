"""What helps to see what a page means: looked up once for all messages of a tick, and left out when that fails."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from alerts_svc.clients.measures import Answers, Measures, MeasuresError
from alerts_svc.domain.alert import Change
from alerts_svc.domain.message import Details, Message
from alerts_svc.domain.reading import Answer
from alerts_svc.domain.rule import Query

TIMEOUT_SECONDS = 1.0
SHORTEST, LONGEST = 60, 3_600
MAX_OPERATIONS = 10
MAX_TOP = 3
UNAVAILABLE = Details(note="details unavailable")
_PAGES = frozenset({Change.FIRED, Change.ESCALATED})


class Enricher:
    """Puts details into messages that tell of something that fired or has become worse."""

    def __init__(self, measures: Measures) -> None:
        self._measures = measures

    async def enriched(self, messages: Sequence[Message], *, wall: float) -> Sequence[Message]:
        """Return the messages, with details where they page; their ids stay."""
        if not any(map(_pages, messages)):
            return messages
        window = _window(messages)
        questions = _Questions.about(window)
        try:
            answers = await self._measures.ask(questions.all(), wall=wall, seconds=TIMEOUT_SECONDS)
        except MeasuresError:
            return [_with(message, UNAVAILABLE) for message in messages]
        return [
            _with(message, _details(message, questions, answers)) if _pages(message) else message
            for message in messages
        ]


@dataclass(frozen=True, slots=True)
class _Questions:
    window: int
    average: Query
    errors: Query
    spent: Query
    spent_by_model: Query
    failed_by_model: Query
    failed_by_priority: Query

    @classmethod
    def about(cls, window: int) -> _Questions:
        by_model = ("operation", "model")
        return cls(
            window,
            Query("performance.duration_ms", "avg", window, None, ("operation",)),
            Query("performance.errors", "ratio", window, "performance.count", ("operation",)),
            Query("llm_call.cost_usd", "sum", window, None, ("operation",)),
            Query("llm_call.cost_usd", "sum", window, None, by_model),
            Query("llm_call.errors", "sum", window, None, by_model),
            Query("performance.errors", "sum", window, None, ("operation", "gap_priority")),
        )

    def all(self) -> list[Query]:
        return [
            self.average,
            self.errors,
            self.spent,
            self.spent_by_model,
            self.failed_by_model,
            self.failed_by_priority,
        ]


def _pages(message: Message) -> bool:
    return any(item.change in _PAGES for item in message.items)


def _with(message: Message, details: Details) -> Message:
    return replace(message, details=details) if _pages(message) else message


def _window(messages: Iterable[Message]) -> int:
    windows = [item.window_seconds or 0 for message in messages for item in message.items]
    # Whole minutes, so that the answer covers what it says.
    return min(LONGEST, max(SHORTEST, max(windows, default=0) // 60 * 60))


def _details(message: Message, asked: _Questions, answers: Answers) -> Details:
    told = {
        item.labels["operation"]: None
        for item in message.items
        if item.change in _PAGES and item.labels.get("operation")
    }
    wanted = set(told) or None
    average = _only(answers.found.get(asked.average, {}), wanted)
    errors = _only(answers.found.get(asked.errors, {}), wanted)
    spent = _total(_only(answers.found.get(asked.spent, {}), wanted))
    return Details(
        operations=tuple(told or _busiest(average))[:MAX_OPERATIONS],
        average_ms=_mean(average),
        error_rate=_mean(errors),
        cost_per_hour_usd=None if spent is None else spent * 3_600 / asked.window,
        top=_top(message, asked, answers, wanted),
    )


def _top(
    message: Message, asked: _Questions, answers: Answers, wanted: set[str] | None
) -> tuple[tuple[str, float], ...]:
    """Return who has the greatest share in what is wrong: in money for a rule about it, else in errors."""
    money = any(item.unit == "usd" and item.change in _PAGES for item in message.items)
    questions = (
        [("model", asked.spent_by_model)]
        if money
        else [("model", asked.failed_by_model), ("gap priority", asked.failed_by_priority)]
    )
    for word, query in questions:
        shares = _shares(_only(answers.found.get(query, {}), wanted))
        if shares:
            return tuple((f"{word} {name}", share) for name, share in shares[:MAX_TOP])
    return ()


def _only(answer: Answer, operations: set[str] | None) -> Answer:
    if operations is None:
        return answer
    return {group: told for group, told in answer.items() if group[0] in operations}


def _total(answer: Answer) -> float | None:
    values = [value for value, _ in answer.values() if value is not None]
    return sum(values) if values else None


def _mean(answer: Answer) -> float | None:
    """Return the mean of the groups' averages, each with the weight of its samples."""
    weighed = [(value, count) for value, count in answer.values() if value is not None and count]
    total = sum(count for _, count in weighed)
    return sum(value * count for value, count in weighed) / total if total else None


def _busiest(answer: Answer) -> list[str]:
    by_samples = sorted(answer.items(), key=lambda found: -found[1][1])
    return [str(group[0]) for group, _ in by_samples[:3] if group[0] is not None]


def _shares(answer: Answer) -> list[tuple[str, float]]:
    sums: dict[str, float] = {}
    for group, (value, _) in answer.items():
        if value and group[1] is not None:
            sums[group[1]] = sums.get(group[1], 0.0) + value
    total = sum(sums.values())
    found: Mapping[str, float] = {name: value / total for name, value in sums.items() if total > 0}
    return sorted(found.items(), key=lambda share: (-share[1], share[0]))
