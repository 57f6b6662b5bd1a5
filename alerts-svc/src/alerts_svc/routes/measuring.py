"""What metrics-svc says of a rule's questions."""

from __future__ import annotations

from alerts_svc.clients.measures import Answers, MeasuresError
from alerts_svc.domain.assessment import queries
from alerts_svc.domain.rule import BurnRate, Rule
from alerts_svc.state import State
from windsock_kit.errors import InvalidError, UnavailableError

# Whoever saves a rule waits no longer; it is saved all the same then, and says that nobody knows whether it will do.
_CHECK_SECONDS = 2.0


async def check_answerable(state: State, rule: Rule) -> list[str]:
    """Refuse a rule whose questions can never be answered; returns notes when that cannot be found out now."""
    try:
        answers = await state["measures"].ask(
            queries(rule), wall=state["time"].wall(), seconds=_CHECK_SECONDS
        )
    except MeasuresError as error:
        return [
            f"Whether metrics-svc knows these measures was not checked: {error}. See POST /api/alerts/rules/test."
        ]
    _refuse(rule, answers)
    return []


async def measured(state: State, rule: Rule) -> Answers:
    """Return what was measured for a rule now; raises ``UnavailableError`` when metrics-svc does not answer."""
    try:
        answers = await state["measures"].ask(queries(rule), wall=state["time"].wall())
    except MeasuresError as error:
        raise UnavailableError(f"nothing was measured: {error}", retry_after=5) from None
    _refuse(rule, answers)
    return answers


def _refuse(rule: Rule, answers: Answers) -> None:
    for query in queries(rule):
        reason = answers.refused.get(query)
        if reason is not None:
            raise unanswerable(rule, reason)


def unanswerable(rule: Rule, reason: str) -> InvalidError:
    """Return the error for a question that metrics-svc refuses, at the place that its reason speaks of."""
    return InvalidError(f"metrics-svc: {reason}", path=f"condition{_place(rule, reason)}")


def _place(rule: Rule, reason: str) -> str:
    condition = rule.condition
    burns = isinstance(condition, BurnRate)
    names = (
        (("errors", condition.errors), ("total", condition.total))
        if isinstance(condition, BurnRate)
        else (
            ("measure", condition.query.measure),
            ("denominator", condition.query.denominator or ""),
        )
    )
    if "unknown measure" in reason:
        return next((f".{field}" for field, name in names if repr(name) in reason), "")
    if "no dimension" in reason:
        group_by = queries(rule)[0].group_by
        return ".group_by" if any(repr(name) in reason for name in group_by) else ".filters"
    return ".aggregation" if "no aggregation" in reason and not burns else ""
