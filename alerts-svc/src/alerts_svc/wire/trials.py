"""Trials of a rule: what it says now, and when it would have fired over past days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from alerts_svc.domain.rule import Rule
from alerts_svc.wire.decoding import Identifier, decode, within
from alerts_svc.wire.rules import MAX_WINDOW_SECONDS, STEP_SECONDS, RuleBody, rule_of
from alerts_svc.wire.times import Moment, seconds_of
from windsock_kit.errors import InvalidError

DAY_SECONDS = 86_400
MAX_DAYS = 30
DEFAULT_DAYS = 7


class TrialBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which rule: one that is stored, or one that is given."""

    rule: RuleBody | None = None
    name: Identifier | None = None


class BacktestBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which rule, over which time, in which steps."""

    rule: RuleBody | None = None
    name: Identifier | None = None
    days: Annotated[float, Meta(gt=0, le=MAX_DAYS)] | None = None
    begin: Moment | None = msgspec.field(name="from", default=None)
    end: Moment | None = msgspec.field(name="to", default=None)
    step_seconds: (
        Annotated[int, Meta(ge=STEP_SECONDS, le=MAX_WINDOW_SECONDS, multiple_of=STEP_SECONDS)]
        | None
    ) = None


@dataclass(frozen=True, slots=True)
class Subject:
    """A rule as it was given, or the name of one that is stored."""

    rule: Rule | None
    name: str | None


@dataclass(frozen=True, slots=True)
class Past:
    """A stretch of the past, in Unix seconds, and the steps that were asked for."""

    begin: float
    end: float
    step_seconds: int | None


_test = msgspec.json.Decoder(TrialBody)
_backtest = msgspec.json.Decoder(BacktestBody)


def parse_test(body: bytes) -> Subject:
    """Decode the body of a test."""
    return _subject(decode(_test, body))


def parse_backtest(body: bytes, *, wall: float) -> tuple[Subject, Past]:
    """Decode the body of a backtest; ``wall`` is now."""
    given = decode(_backtest, body)
    return _subject(given), _past(given, wall)


def _subject(given: TrialBody | BacktestBody) -> Subject:
    if (given.rule is None) == (given.name is None):
        raise InvalidError("give either rule or name", path="rule", allowed=["rule", "name"])
    if given.rule is None:
        return Subject(None, given.name)
    try:
        return Subject(rule_of(given.rule), None)
    except InvalidError as error:
        raise within(error, "rule") from None


def _past(given: BacktestBody, wall: float) -> Past:
    if given.begin is None:
        if given.end is not None:
            raise InvalidError("to needs a from", path="from")
        return Past(wall - (given.days or DEFAULT_DAYS) * DAY_SECONDS, wall, given.step_seconds)
    if given.days is not None:
        raise InvalidError("give either days, or from and to", path="days")
    begin = seconds_of(given.begin, "from")
    end = wall if given.end is None else min(wall, seconds_of(given.end, "to"))
    if begin >= end:
        raise InvalidError("from must be before to, and in the past", path="from")
    if end - begin > MAX_DAYS * DAY_SECONDS:
        raise InvalidError(
            f"a backtest covers at most {MAX_DAYS} days",
            path="from",
            allowed=[f"at most {MAX_DAYS} days before to"],
        )
    return Past(begin, end, given.step_seconds)
