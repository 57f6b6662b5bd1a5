"""What is done to a flag in one environment, and over its life."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from flags_svc.domain import actions
from flags_svc.domain.fields import fields_of
from flags_svc.domain.flag import ManagedFlag
from flags_svc.domain.names import environment_of
from flags_svc.domain.rollout import warnings_of
from flags_svc.domain.schedule import LATE_SECONDS, schedule_warnings
from flags_svc.domain.times import instant, to_milliseconds
from flags_svc.ports import Decide
from flags_svc.routes.asking import Handler, document_of, expected_of
from flags_svc.routes.changing import changed
from flags_svc.routes.flags import FLAGS, ONE
from flags_svc.state import State
from flags_svc.wire.bodies import planned_of, rollout_of
from windsock_kit.parameters import no_parameters
from windsock_kit.resources import named, resource


def _switch(decide: Callable[[str, str, int | None], Decide]) -> Handler:
    async def handler(request: Request[State]) -> Response:
        """Switch a flag in one environment."""
        no_parameters(request.query_params)
        key, expected = named(request, FLAGS.parameter), expected_of(request)
        fields = fields_of(await document_of(request, default={}), "", ("environment",))
        environment = _or_default(request, fields.get("environment"))
        return await changed(request, "flag", key, decide(key, environment, expected))

    return handler


async def rollout(request: Request[State]) -> Response:
    """Give a share of the users something, at once or step by step."""
    no_parameters(request.query_params)
    key, expected = named(request, FLAGS.parameter), expected_of(request)
    wish = rollout_of(await document_of(request))
    environment = _or_default(request, wish.environment)
    # As precise as it is written, or what begins now would begin in a moment.
    now = to_milliseconds(request.state["clock"]().timestamp())
    decide = wish.decide(key, environment, now=now, expected=expected)

    def warn(flag: ManagedFlag) -> list[str]:
        found = warnings_of(flag, environment) + schedule_warnings(flag, environment, now)
        if wish.at is not None and wish.at < now - LATE_SECONDS:
            found.append(f"at is {instant(wish.at)}, which is over: it begins now")
        return found

    return await changed(request, "flag", key, decide, warn=warn)


async def schedule(request: Request[State]) -> Response:
    """Put steps in place of those that are to come; none ends the schedule."""
    no_parameters(request.query_params)
    key, expected = named(request, FLAGS.parameter), expected_of(request)
    given, steps = planned_of(await document_of(request))
    environment = _or_default(request, given)
    now = request.state["clock"]().timestamp()
    return await changed(
        request,
        "flag",
        key,
        actions.schedule(key, environment, steps, expected),
        warn=lambda flag: schedule_warnings(flag, environment, now),
    )


def _lives(decide: Callable[[str, int | None], Decide]) -> Handler:
    async def handler(request: Request[State]) -> Response:
        """Put a flag aside, or take it back."""
        no_parameters(request.query_params)
        fields_of(await document_of(request, default={}), "", ())
        key, expected = named(request, FLAGS.parameter), expected_of(request)
        return await changed(request, "flag", key, decide(key, expected))

    return handler


def _or_default(request: Request[State], environment: object) -> str:
    if environment is None:
        return request.state["default_environment"]
    return environment_of(environment, "environment")


routes = [
    resource(f"{ONE}/enable", post=_switch(actions.enable)),
    resource(f"{ONE}/disable", post=_switch(actions.disable)),
    resource(f"{ONE}/rollout", post=rollout),
    resource(f"{ONE}/schedule", put=schedule),
    resource(f"{ONE}/archive", post=_lives(actions.archive)),
    resource(f"{ONE}/restore", post=_lives(actions.restore)),
]
