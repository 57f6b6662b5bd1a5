"""``/api/alerts/links/{token}``: the pages behind the links in messages.

Mail software opens links by itself, so a GET shows a page and does nothing; its button posts, and that acts.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from alerts_svc.domain.alert import Incident
from alerts_svc.domain.labels import ALERTNAME, Labels
from alerts_svc.domain.matcher import Matcher
from alerts_svc.domain.silence import Silence
from alerts_svc.domain.world import Acknowledge
from alerts_svc.notify.links import LinkAction, LinkError
from alerts_svc.routes.alerts import open_alert
from alerts_svc.routes.resources import clocks
from alerts_svc.state import State
from alerts_svc.wire import pages
from alerts_svc.wire.times import instant
from windsock_kit.body import read_body
from windsock_kit.errors import (
    BadRequestError,
    ConflictError,
    InvalidError,
    NotFoundError,
    ServiceError,
)
from windsock_kit.resources import resource

_MAX_FORM_BYTES = 10_000
_MAX_BY = 200
_CHOICES = (
    ("15", "15 minutes"),
    ("60", "1 hour"),
    ("240", "4 hours"),
    ("480", "8 hours"),
    ("1440", "1 day"),
)
_DEFAULT = "60"
_NAMESPACE = uuid.UUID("0f3d8a52-6f0c-4a4e-9f0c-7f7c1a2d9e55")
_WORDS = {
    "acknowledge": (
        "Acknowledge this alert",
        "Acknowledge",
        "Nobody is reminded of it meanwhile, and its end is told.",
    ),
    "silence": (
        "Silence this alert",
        "Silence",
        "Nothing new is told of it meanwhile. If its page was delivered, its end is told.",
    ),
}


class LinkRefusedError(NotFoundError):
    """The token was not made here, or its day is over."""

    code = "link_refused"


@dataclass(frozen=True, slots=True)
class _Target:
    """What a link is about: its incident, if that is still open."""

    action: LinkAction
    labels: Labels
    incident: Incident | None


async def show(request: Request[State]) -> Response:
    """Show what the link is about, and a button; this does nothing."""
    try:
        target = await _target(request)
    except NotFoundError as error:
        return _refusal(request, error)
    title, button, meaning = _WORDS[target.action.action]
    about = pages.terms(_described(request, target))
    if target.incident is None:
        return pages.page("This alert is over", about, pages.paragraph("Nothing is left to do."))
    return pages.page(
        title,
        about,
        pages.paragraph(meaning),
        pages.form(button, "minutes", _CHOICES, default=_DEFAULT),
    )


async def act(request: Request[State]) -> Response:
    """Do what the link asks for, and say so."""
    try:
        target = await _target(request)
        by, minutes = await _form(request)
        if target.incident is None:
            raise ConflictError("this alert is over")
    except (NotFoundError, InvalidError, BadRequestError, ConflictError) as error:
        return _refusal(request, error)
    now = await request.state["silences"].now()
    until = now + minutes * 60
    if target.action.action == "acknowledge":
        await request.state["inbox"].put(Acknowledge(target.incident.id, by, until))
        title = "Acknowledged"
    else:
        await _silence(request, target, by, (now, until))
        title = "Silenced"
    shown = _described(request, target) | {"Until": instant(until) or "", "By": by}
    return pages.page(title, pages.terms(shown))


async def _target(request: Request[State]) -> _Target:
    wall = request.state["time"].wall()
    try:
        action = request.state["links"].read(request.path_params["token"], wall=wall)
    except LinkError as error:
        raise LinkRefusedError(f"{error}. Open the alert on the dashboard instead") from None
    labels, incident = await open_alert(request, action.incident)
    return _Target(action, labels, incident)


async def _form(request: Request[State]) -> tuple[str, int]:
    body = await read_body(
        request, max_bytes=_MAX_FORM_BYTES, max_decompressed_bytes=_MAX_FORM_BYTES
    )
    try:
        given = dict(parse_qsl(body.decode(), strict_parsing=False, max_num_fields=10))
    except ValueError:
        raise BadRequestError("the form cannot be read") from None
    minutes = given.get("minutes", _DEFAULT)
    allowed = [value for value, _ in _CHOICES]
    if minutes not in allowed:
        raise InvalidError("unknown length of time", path="minutes", allowed=allowed)
    by = given.get("by", "").replace("\0", "").strip()[:_MAX_BY]
    return by or "link in a message", int(minutes)


async def _silence(
    request: Request[State], target: _Target, by: str, during: tuple[float, float]
) -> None:
    now, until = during
    # A button that is pressed twice makes one silence.
    identity = str(uuid.uuid5(_NAMESPACE, request.path_params["token"]))
    matchers = tuple(Matcher(name, value) for name, value in sorted(target.labels.items()))
    wanted = Silence(identity, matchers, now, until, by, "Silenced by a link in a message", now)
    silences = request.state["silences"]
    try:
        await silences.create(wanted)
    except ConflictError:
        await silences.replace(wanted)


def _described(request: Request[State], target: _Target) -> dict[str, str]:
    labels = dict(target.labels)
    shown = {"Alert": labels.pop(ALERTNAME, "without a name")}
    if target.incident is not None:
        shown["Severity"] = target.incident.severity.value
        shown["Since"] = clocks(request).told(target.incident.started_at) or ""
    return shown | labels


def _refusal(request: Request[State], error: ServiceError) -> Response:
    if not pages.wants_page(request.headers.get("accept")):
        raise error
    text = error.detail[:1].upper() + error.detail[1:] + "."
    return pages.page("This did not work", pages.paragraph(text), status=error.status)


routes = [resource("/api/alerts/links/{token}", get=show, post=act)]
