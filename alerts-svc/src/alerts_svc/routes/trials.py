"""``POST /api/alerts/rules/test`` and ``/backtest``: a rule tried out before it is saved."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from alerts_svc.clients.measures import History, MeasuresError, RefusedError
from alerts_svc.domain.alert import Alert
from alerts_svc.domain.assessment import assess, labels_of, queries, readings
from alerts_svc.domain.backtest import Backtest, backtest
from alerts_svc.domain.labels import fingerprint
from alerts_svc.domain.machine import advance, level_of
from alerts_svc.domain.rule import Query, Rule
from alerts_svc.domain.world import World
from alerts_svc.routes.measuring import measured, unanswerable
from alerts_svc.routes.resources import Handler, body_of, clocks, load
from alerts_svc.state import State
from alerts_svc.wire import trials as wire
from alerts_svc.wire.backtests import approximations, tell_backtest, tell_trial
from alerts_svc.wire.times import Clocks, instant
from windsock_kit.errors import InvalidError, ServiceError, UnavailableError
from windsock_kit.parameters import no_parameters
from windsock_kit.resources import resource
from windsock_kit.responses import json

_STEPS = (10, 60, 300, 600, 3600)
# A week in minutes.
_USUAL_STEPS = 10_080
_MAX_STEPS = 50_000
# Each costs the state machine some 13 µs, in a thread beside the evaluations.
_MAX_POINTS = 500_000
_MAX_GROUPS_TOLD = 1_000


class _TooMuchError(Exception):
    """There are too many values at these steps."""


async def _rule(request: Request[State], subject: wire.Subject) -> Rule:
    if subject.rule is not None:
        return subject.rule
    assert subject.name is not None
    return (await request.state["rules"].get(subject.name)).rule


async def test(request: Request[State]) -> Response:
    """Answer what a rule says now, group by group, and in which state each alert would be."""
    no_parameters(request.query_params)
    subject = wire.parse_test(await body_of(request))
    rule = await _rule(request, subject)
    try:
        answers = await measured(request.state, rule)
    except InvalidError as error:
        raise _of(subject, error) from None
    world = await load(request)
    found = readings(rule, answers.found)
    now = clocks(request)
    told = [
        _trial(rule, group, found[group], world, now) for group in list(found)[:_MAX_GROUPS_TOLD]
    ]
    told.sort(key=lambda entry: sorted(entry["labels"].items()))
    return json(
        {
            "rule": rule.name,
            "at": instant(now.wall),
            "groups": told,
            "truncated": max(0, len(found) - _MAX_GROUPS_TOLD),
        }
    )


def _trial(rule: Rule, group: Any, reading: Any, world: World, now: Clocks) -> dict[str, Any]:
    labels = labels_of(rule, group)
    identity = fingerprint(labels)
    known = world.alerts.get(identity)
    alert = known or Alert(identity, labels, rule.name, rule.annotations)
    outcome = assess(rule, reading, level_of(alert))
    after, _ = advance(alert, outcome, rule, own=now.own)
    return tell_trial(after, outcome, reading.samples, known=known is not None)


def _backtester() -> Handler:
    # One after the other: each takes a processor for a while, and evaluations go first.
    turn = asyncio.Lock()

    async def answer(request: Request[State]) -> Response:
        """Answer when a rule would have fired."""
        no_parameters(request.query_params)
        wall = request.state["time"].wall()
        subject, past = wire.parse_backtest(await body_of(request), wall=wall)
        rule = await _rule(request, subject)
        steps = _steps(past)
        async with turn:
            for step in steps[:-1]:
                with suppress(RefusedError, _TooMuchError):
                    return await _answered(request, rule, past, step)
            try:
                return await _answered(request, rule, past, steps[-1])
            except RefusedError as error:
                raise _of(subject, unanswerable(rule, str(error))) from None
            except _TooMuchError as error:
                raise InvalidError(str(error), path="step_seconds") from None

    return answer


def _steps(past: wire.Past) -> tuple[int, ...]:
    """Return the steps to try, finest first: how far back finer ones go, only metrics-svc knows."""
    length = past.end - past.begin
    if past.step_seconds is None:
        return tuple(step for step in _STEPS if length / step <= _USUAL_STEPS)
    if length / past.step_seconds > _MAX_STEPS:
        raise InvalidError(
            f"step_seconds divides the time into more than {_MAX_STEPS} steps", path="step_seconds"
        )
    return (past.step_seconds,)


async def _answered(request: Request[State], rule: Rule, past: wire.Past, step: int) -> Response:
    found = await _backtest(request, rule, past, step)
    return json(tell_backtest(rule, past, found, approximations(rule, step)))


async def _backtest(request: Request[State], rule: Rule, past: wire.Past, step: int) -> Backtest:
    """Look back by one window more, so that the first step has a whole one, and leave out what was over by then."""
    longest = max(query.window_seconds for query in queries(rule))
    begin = past.begin - past.begin % step - longest
    histories = await _histories(request, rule, begin, past.end, step)
    points = sum(len(series) for history in histories.values() for series in history.values())
    if points > _MAX_POINTS:
        raise _TooMuchError(
            f"this looks at {points} values, and at most {_MAX_POINTS} are possible; take longer steps or fewer days"
        )
    found = await asyncio.to_thread(
        backtest, rule, histories, begin=begin, end=past.end, step_seconds=step
    )
    kept = tuple(
        replace(episode, pages=tuple(at for at in episode.pages if at >= past.begin))
        for episode in found.episodes
        if episode.ends_at is None or episode.ends_at > past.begin
    )
    return replace(found, episodes=kept)


async def _histories(
    request: Request[State], rule: Rule, begin: float, end: float, step: int
) -> dict[Query, History]:
    try:
        found = await request.state["measures"].history(
            queries(rule), begin=begin, end=end, step_seconds=step
        )
    except MeasuresError as error:
        raise UnavailableError(f"nothing was measured: {error}", retry_after=5) from None
    return dict(found)


def _of(subject: wire.Subject, error: InvalidError) -> ServiceError:
    """Return the error at its place in the request, if the rule was in it."""
    if subject.rule is None:
        return InvalidError(error.detail, path="name", allowed=error.allowed)
    return InvalidError(error.detail, path=f"rule.{error.path}", allowed=error.allowed)


def routes() -> list[Route]:
    """Return the routes; one backtest runs at a time."""
    return [
        resource("/api/alerts/rules/test", post=test),
        resource("/api/alerts/rules/backtest", post=_backtester()),
    ]
