"""What flags give somebody, and why; also what one would have given at an earlier time."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from flags_svc.domain.flag import ManagedFlag
from flags_svc.domain.projection import project
from flags_svc.domain.references import prerequisites_of, segments_of_rules, segments_of_segment
from flags_svc.domain.world import Change, ItemKind
from flags_svc.routes.asking import document_of
from flags_svc.routes.changing import PREFIX
from flags_svc.routes.flags import FLAGS, ONE
from flags_svc.state import State
from flags_svc.store.history import History
from flags_svc.wire.questions import (
    Question,
    evaluation_view,
    question_of,
    question_of_several,
)
from windsock.flags.definition import Flag, FlagSet, Segment
from windsock.flags.evaluation import CompiledSet, compile_set
from windsock.flags.explaining import explain
from windsock_kit.errors import InvalidError, NotFoundError
from windsock_kit.parameters import no_parameters
from windsock_kit.resources import named, resource
from windsock_kit.responses import json


async def one(request: Request[State]) -> Response:
    """Evaluate a flag and tell every step of it; nothing is recorded."""
    no_parameters(request.query_params)
    key, question = named(request, FLAGS.parameter), question_of(await document_of(request))
    environment = question.environment or request.state["default_environment"]
    revision = await _revision(request, key, question)
    if revision is None:
        revision, version, flags = _now(request, key, environment)
    else:
        version, flags = await _then(request.state["history"], key, environment, revision)
    told: dict[str, Any] = {
        "environment": environment,
        "version": version,
        "revision": revision,
        **explain(flags, key, question.unit, question.context).document(),
    }
    return json(told)


async def several(request: Request[State]) -> Response:
    """Evaluate all flags, or those that are named; nothing is recorded."""
    no_parameters(request.query_params)
    question = question_of_several(await document_of(request, default={}))
    environment = question.environment or request.state["default_environment"]
    live = request.state["live"]
    flags = live.compiled(environment)
    keys = sorted(flags) if question.flags is None else list(dict.fromkeys(question.flags))
    for index, key in enumerate(keys):
        if key not in flags:
            raise InvalidError(f"there is no flag {key[:100]!r}", path=f"flags[{index}]")
    revision = live.revision
    # Each is prepared when it is first asked.
    told = await asyncio.to_thread(
        lambda: {
            key: evaluation_view(flags[key].evaluate(question.unit, question.context))
            for key in keys
        }
    )
    return json({"environment": environment, "revision": revision, "flags": told})


async def _revision(request: Request[State], key: str, question: Question) -> int | None:
    """Return the revision that is asked for, ``None`` for now."""
    if question.version is not None:
        found = await request.state["history"].version("flag", key, question.version)
        return found.revision
    now = request.state["live"].revision
    if question.revision is not None and question.revision > now:
        raise InvalidError(
            f"revision {question.revision} is still to come",
            path="revision",
            allowed=[f"1 to {now}"],
        )
    return question.revision


def _now(request: Request[State], key: str, environment: str) -> tuple[int, int, CompiledSet]:
    live = request.state["live"]
    flags, stored = live.compiled(environment), live.world.flags.get(key)
    if stored is None:
        raise NotFoundError(f"there is no flag {key}")
    if key not in flags:
        raise _archived(key)
    return live.revision, stored.version, flags


async def _then(
    history: History, key: str, environment: str, revision: int
) -> tuple[int, CompiledSet]:
    """Return the flag's version at a revision, and it with all that it asks for as they were then."""
    await history.at_revision("environment", environment, revision)
    change = await history.at_revision("flag", key, revision)
    flags: dict[str, Flag] = {}
    segments: dict[str, Segment] = {}
    asked: set[tuple[ItemKind, str]] = set()
    waiting: list[tuple[ItemKind, str]] = [("flag", key)]
    while waiting:
        kind, name = waiting.pop()
        if (kind, name) in asked:
            continue
        asked.add((kind, name))
        item = await _item(history, kind, name, revision)
        if isinstance(item, ManagedFlag) and (flag := project(item, environment)) is not None:
            flags[name] = flag
            waiting += [("flag", each) for each in prerequisites_of(item)]
            if environment in item.environments:
                there = segments_of_rules(item.environments[environment])
                waiting += [("segment", each) for each in there]
        elif isinstance(item, Segment):
            segments[name] = item
            waiting += [("segment", each) for each in segments_of_segment(item)]
    if key not in flags:
        raise _gone(change)
    return change.version, compile_set(FlagSet(flags, segments))


async def _item(history: History, kind: ItemKind, key: str, revision: int) -> object:
    try:
        return (await history.at_revision(kind, key, revision)).edit.item
    except NotFoundError:
        return None


def _gone(change: Change) -> NotFoundError:
    if change.edit.item is not None:
        return _archived(change.edit.key)
    return NotFoundError(f"flag {change.edit.key} was deleted then")


def _archived(key: str) -> NotFoundError:
    return NotFoundError(f"flag {key} is archived, and evaluated nowhere")


routes = [
    resource(f"{PREFIX}/evaluate", post=several),
    resource(f"{ONE}/evaluate", post=one),
]
