"""Alertmanager's API v2: Prometheus, vmalert and Grafana post here, ``amtool`` and dashboards read and silence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

import re2  # type: ignore[import-untyped]
from starlette.requests import Request
from starlette.responses import Response

from alerts_svc.domain.matcher import Matcher, matches_all
from alerts_svc.domain.routing import CONSOLE
from alerts_svc.domain.silence import Silence
from alerts_svc.domain.standing import Standing, standings
from alerts_svc.routes.resources import Handler, body_of, clocks, load
from alerts_svc.state import State
from alerts_svc.version import VERSION
from alerts_svc.wire import alertmanager, alertmanager_configuration
from alerts_svc.wire.silences import check_room
from windsock_kit.clock import utc_now
from windsock_kit.errors import BadRequestError, ConflictError, InvalidError, ServiceError
from windsock_kit.postgres import unavailable
from windsock_kit.resources import named, resource
from windsock_kit.responses import json

# Near enough to the start of the process.
_STARTED_AT = utc_now()
_WORDS = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}


def spoken(handler: Handler) -> Handler:
    """Tell failures as Alertmanager does: a JSON text, and 400 for whatever is wrong with a request."""

    @wraps(handler)
    async def wrapped(request: Request[State]) -> Response:
        try:
            with unavailable("the store is away; try again"):
                return await handler(request)
        except ServiceError as error:
            wrong = isinstance(error, InvalidError | BadRequestError | ConflictError)
            text = f"{error.path}: {error.detail}" if error.path else error.detail
            return json(text, 400 if wrong else error.status, error.headers())

    return wrapped


@spoken
async def post_alerts(request: Request[State]) -> Response:
    """Take alerts from elsewhere; what is right of a batch is taken although the rest is refused."""
    batch = alertmanager.parse_alerts(await body_of(request), wall=request.state["time"].wall())
    if batch.posted:
        await request.state["inbox"].put(batch.posted)
    if batch.refused:
        raise BadRequestError(batch.complaint())
    return Response()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which alerts are asked for."""

    active: bool
    silenced: bool
    inhibited: bool
    muted: bool
    matchers: tuple[Matcher, ...]
    receiver: Any

    @classmethod
    def by(cls, request: Request[State]) -> _Wanted:
        # Every alert here has been processed, so "unprocessed" need only be a word.
        _flag(request, "unprocessed")
        return cls(
            active=_flag(request, "active"),
            silenced=_flag(request, "silenced"),
            inhibited=_flag(request, "inhibited"),
            muted=_flag(request, "muted"),
            matchers=alertmanager.parse_filters(request.query_params.getlist("filter")),
            receiver=_receiver(request.query_params.get("receiver", "")),
        )

    def among(self, found: Iterable[Standing]) -> list[Standing]:
        """Return those that are asked for, each with only the receivers that are."""
        chosen = (self._for_receiver(standing) for standing in found if self._is(standing))
        return [standing for standing in chosen if standing.destinations]

    def _is(self, standing: Standing) -> bool:
        return (
            (self.active or standing.suppressed)
            and (self.silenced or not standing.silenced_by)
            and (self.inhibited or not standing.inhibited_by)
            and (self.muted or not standing.muted_by)
            and matches_all(self.matchers, standing.labels)
        )

    def _for_receiver(self, standing: Standing) -> Standing:
        if self.receiver is None:
            return standing
        kept = (
            replace(each, channels=tuple(filter(self.receiver.fullmatch, each.channels)))
            for each in standing.destinations
        )
        return replace(standing, destinations=[each for each in kept if each.channels])


def _flag(request: Request[State], name: str) -> bool:
    text = request.query_params.get(name, "true").lower()
    if text not in _WORDS:
        raise InvalidError(f"{text[:50]!r} is neither true nor false", path=name)
    return _WORDS[text]


def _receiver(pattern: str) -> Any:
    if not pattern:
        return None
    if len(pattern) > 1_000:
        raise InvalidError("the regular expression is too long", path="receiver")
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error:
        raise InvalidError("it is no regular expression", path="receiver") from None


@spoken
async def get_alerts(request: Request[State]) -> Response:
    """List what fires, and what holds it back."""
    wanted, now = _Wanted.by(request), clocks(request)
    found = wanted.among(standings(await load(request), wall=now.wall))
    return json([alertmanager.alert(standing, now) for standing in found])


@spoken
async def get_groups(request: Request[State]) -> Response:
    """List the same by group and receiver."""
    wanted, now = _Wanted.by(request), clocks(request)
    found = wanted.among(standings(await load(request), wall=now.wall))
    return json(alertmanager.groups(found, now))


@spoken
async def get_silences(request: Request[State]) -> Response:
    """List silences, those that are over too; a filter is held against what their matchers ask for."""
    matchers = alertmanager.parse_filters(request.query_params.getlist("filter"))
    wall = request.state["time"].wall()
    found = [
        silence
        for silence in await request.state["silences"].all()
        if matches_all(matchers, {each.name: each.value for each in silence.matchers})
    ]
    ordered = alertmanager.sorted_silences(found, wall)
    return json([alertmanager.silence(silence, wall=wall) for silence in ordered])


@spoken
async def post_silence(request: Request[State]) -> Response:
    """Make a silence, or change one; one that has begun and is to match otherwise gets a successor."""
    store = request.state["silences"]
    wall = await store.now()
    posted = alertmanager.parse_silence(await body_of(request), wall=wall)
    old = None if posted.id is None else await store.get(posted.id)
    if old is not None and _may_stay(old, posted, wall):
        return json({"silenceID": (await store.replace(posted.over(old))).id})
    check_room(await store.all(), wall)
    made = await store.create(posted.anew(wall))
    if old is not None and old.ends_at > wall:
        # Only now: at no time are both out of force.
        await store.expire(old.id)
    return json({"silenceID": made.id})


def _may_stay(old: Silence, posted: alertmanager.PostedSilence, wall: float) -> bool:
    same = tuple(old.matchers) == posted.matchers
    if old.active(wall):
        return same and abs(old.starts_at - posted.starts_at) < 1
    return same and old.starts_at > wall and posted.starts_at >= wall


@spoken
async def get_silence(request: Request[State]) -> Response:
    """Return one."""
    silence = await request.state["silences"].get(named(request, "id"))
    return json(alertmanager.silence(silence, wall=request.state["time"].wall()))


@spoken
async def delete_silence(request: Request[State]) -> Response:
    """End one now; it stays in the list as expired."""
    await request.state["silences"].expire(named(request, "id"))
    return Response()


@spoken
async def get_receivers(request: Request[State]) -> Response:
    """List the channels."""
    return json([{"name": name} for name in await _channels(request)])


async def _channels(request: Request[State]) -> list[str]:
    found = await request.state["channels"].all()
    return sorted({CONSOLE, *(channel.name for channel in found)})


@spoken
async def get_status(request: Request[State]) -> Response:
    """Tell of the service as if it were an Alertmanager without peers."""
    configuration = await request.state["configurations"].get()
    original = alertmanager_configuration.original(configuration, await _channels(request))
    return json(
        {
            "cluster": {"status": "ready", "name": "windsock", "peers": []},
            "config": {"original": original},
            "uptime": _STARTED_AT,
            "versionInfo": {
                "branch": "",
                "buildDate": "",
                "buildUser": "",
                "goVersion": "",
                "revision": "",
                "version": f"windsock/{VERSION}",
            },
        }
    )


routes = [
    resource("/api/v2/alerts", get=get_alerts, post=post_alerts),
    resource("/api/v2/alerts/groups", get=get_groups),
    resource("/api/v2/silences", get=get_silences, post=post_silence),
    resource("/api/v2/silence/{id}", get=get_silence, delete=delete_silence),
    resource("/api/v2/receivers", get=get_receivers),
    resource("/api/v2/status", get=get_status),
]
