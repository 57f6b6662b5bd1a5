"""``/api/alerts/rules``: what is measured, and when somebody hears of it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from alerts_svc.domain import builtin
from alerts_svc.routes.measuring import check_answerable
from alerts_svc.routes.resources import body_of
from alerts_svc.state import State
from alerts_svc.store.rules import KeptRule
from alerts_svc.wire.rules import MAX_RULES, Origin, parse_rule, tell_rule
from windsock_kit.errors import ConflictError, InvalidError
from windsock_kit.parameters import Parameters, no_parameters
from windsock_kit.preconditions import etag, expected_version
from windsock_kit.resources import named, resource
from windsock_kit.responses import json


async def index(request: Request[State]) -> Response:
    """List rules by name, the built-in ones too."""
    asked = Parameters(request.query_params, "group", "origin")
    group, origin = asked.text("group"), asked.one_of("origin", Origin)
    kept = [*await request.state["rules"].all(), *_builtin()]
    found = [
        each
        for each in kept
        if group in {None, each.rule.group} and origin in {None, Origin(each.origin)}
    ]
    found.sort(key=lambda each: each.rule.name)
    return json({"rules": [tell_rule(each.rule, each.origin) for each in found]})


async def create(request: Request[State]) -> Response:
    """Make a rule; it is evaluated from now on."""
    no_parameters(request.query_params)
    rule = parse_rule(await body_of(request))
    notes = await check_answerable(request.state, rule)
    if len(await request.state["rules"].all()) >= MAX_RULES:
        raise ConflictError(f"there are {MAX_RULES} rules, and no more are possible")
    made = await request.state["rules"].create(rule)
    return _changed(made, notes, 201, {"Location": f"/api/alerts/rules/{rule.name}"})


async def show(request: Request[State]) -> Response:
    """Tell one rule."""
    no_parameters(request.query_params)
    name = named(request)
    found = next((each for each in _builtin() if each.rule.name == name), None)
    kept = found or await request.state["rules"].get(name)
    return json(tell_rule(kept.rule, kept.origin), headers=etag(kept.rule.version))


async def replace(request: Request[State]) -> Response:
    """Put a rule in place of the one of its name; what fires under labels that it no longer makes resolves."""
    no_parameters(request.query_params)
    name = named(request)
    _refuse_builtin(name)
    expected = expected_version(request.headers.get("if-match"))
    rule = parse_rule(await body_of(request))
    if rule.name != name:
        raise InvalidError("the name is that of the address, and cannot change", path="name")
    # What is not there need not be asked about.
    await request.state["rules"].get(name)
    notes = await check_answerable(request.state, rule)
    return _changed(await request.state["rules"].replace(rule, expected), notes, 200, {})


async def delete(request: Request[State]) -> Response:
    """Remove a rule; what it has open resolves."""
    no_parameters(request.query_params)
    name = named(request)
    _refuse_builtin(name)
    await request.state["rules"].delete(name, expected_version(request.headers.get("if-match")))
    return Response(status_code=204)


def _changed(made: KeptRule, notes: list[str], status: int, headers: dict[str, str]) -> Response:
    told = tell_rule(made.rule, made.origin) | {"notes": notes}
    return json(told, status, {**etag(made.rule.version), **headers})


def _builtin() -> list[KeptRule]:
    return [KeptRule(rule, Origin.BUILTIN) for rule in builtin.rules().values()]


def _refuse_builtin(name: str) -> None:
    if name in builtin.NAMES:
        raise ConflictError(f"{name} is built in and cannot be changed; silence it instead")


routes = [
    resource("/api/alerts/rules", get=index, post=create),
    resource("/api/alerts/rules/{name}", get=show, put=replace, delete=delete),
]
