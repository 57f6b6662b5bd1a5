"""Alertmanager's API v2: what its senders post, and what its tools read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import uuid4

import msgspec
from msgspec import Meta

from alerts_svc.domain.alert import Alert, Incident
from alerts_svc.domain.matcher import Matcher, MatcherError, parse_list
from alerts_svc.domain.silence import Silence
from alerts_svc.domain.standing import Standing
from alerts_svc.domain.world import Posted
from alerts_svc.wire.times import Clocks, bounded, instant
from windsock_kit.decoding import located, reading_json
from windsock_kit.errors import InvalidError

MAX_ALERTS = 10_000
MAX_LABELS = 64
MAX_LABEL_VALUE = 1_000
MAX_ANNOTATION_VALUE = 4_000
MAX_URL = 2_000
MAX_TOLD = 20
# For how long Alertmanager takes an alert without an end to go on.
RESOLVE_TIMEOUT_SECONDS = 300.0

_LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
# An escaped backslash, a whole surrogate pair, and as a group what is only half of one.
_ESCAPES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
# The zero time of Go, by which its programs say that they say nothing.
_UNSAID_YEAR = 1


class _PostedAlert(msgspec.Struct):
    labels: dict[str, str]
    annotations: dict[str, str] | None = None
    begin: Annotated[datetime, Meta(tz=True)] | None = msgspec.field(name="startsAt", default=None)
    end: Annotated[datetime, Meta(tz=True)] | None = msgspec.field(name="endsAt", default=None)
    generator_url: str | None = msgspec.field(name="generatorURL", default=None)


class _PostedMatcher(msgspec.Struct):
    name: str
    value: str
    is_regex: bool = msgspec.field(name="isRegex", default=False)
    is_equal: bool = msgspec.field(name="isEqual", default=True)


class _PostedSilence(msgspec.Struct):
    matchers: Annotated[list[_PostedMatcher], Meta(min_length=1, max_length=MAX_LABELS)]
    begin: Annotated[datetime, Meta(tz=True)] = msgspec.field(name="startsAt")
    end: Annotated[datetime, Meta(tz=True)] = msgspec.field(name="endsAt")
    created_by: Annotated[str, Meta(max_length=200)] = msgspec.field(name="createdBy")
    comment: Annotated[str, Meta(max_length=2_000)]
    id: str | None = None


_batch = msgspec.json.Decoder(Annotated[list[msgspec.Raw], Meta(max_length=MAX_ALERTS)])
_alert = msgspec.json.Decoder(_PostedAlert)
_silence = msgspec.json.Decoder(_PostedSilence)


@dataclass(frozen=True, slots=True)
class Batch:
    """The alerts of a body that are as they must be, and what is wrong with each of the others."""

    posted: tuple[Posted, ...]
    refused: tuple[str, ...] = ()

    def complaint(self) -> str:
        """Say which were refused; the first of them with the reason."""
        more = len(self.refused) - MAX_TOLD
        told = "; ".join(self.refused[:MAX_TOLD]) + (f"; and {more} more" if more > 0 else "")
        rest = "the others are stored" if self.posted else "nothing is stored"
        total = len(self.refused) + len(self.posted)
        return f"{len(self.refused)} of {total} alerts are refused, {rest}: {told}"


def parse_alerts(body: bytes, *, wall: float) -> Batch:
    """Read a batch as far as it is right: one bad alert must not keep a page from people."""
    body = _mended(body)
    with reading_json(body):
        parts = _batch.decode(body)
    posted: list[Posted] = []
    refused: list[str] = []
    for index, part in enumerate(parts):
        try:
            posted.append(_posted(_alert.decode(part), wall))
        except msgspec.ValidationError as error:
            detail, path = located(error)
            refused.append(_at(index, path, detail))
        except InvalidError as error:
            refused.append(_at(index, error.path or "", error.detail))
    return Batch(tuple(posted), tuple(refused))


def _mended(body: bytes) -> bytes:
    """Replace what is no text (half of a surrogate pair, bytes that are no UTF-8), as Go does when it reads JSON."""
    try:
        body.decode()
    except UnicodeDecodeError:
        body = body.decode(errors="replace").encode()
    return _ESCAPES.sub(lambda m: rb"\ufffd" if m[1] else m[0], body) if b"\\u" in body else body


def _at(index: int, path: str, detail: str) -> str:
    return f"[{index}]{'.' if path else ''}{path}: {detail}"


def _posted(given: _PostedAlert, wall: float) -> Posted:
    begin, end = _said(given.begin, "startsAt"), _said(given.end, "endsAt")
    if begin is None:
        begin = wall if end is None else min(wall, end)
    elif end is not None and end < begin:
        raise InvalidError("it is before startsAt", path="endsAt")
    annotations = given.annotations or {}
    _check_names(annotations, "annotations")
    return Posted(
        labels=_labels(given.labels),
        annotations={
            name: _cut(_clean(text), MAX_ANNOTATION_VALUE) for name, text in annotations.items()
        },
        starts_at=begin,
        ends_at=end,
        generator_url=_cut(_clean(given.generator_url or ""), MAX_URL),
        received_at=wall,
    )


def _said(at: datetime | None, path: str) -> float | None:
    if at is None or at.year <= _UNSAID_YEAR:
        return None
    seconds = bounded(at)
    if seconds < 0:
        raise InvalidError("it is before 1970", path=path)
    return seconds


def _check_names(given: Mapping[str, str], path: str) -> None:
    if len(given) > MAX_LABELS:
        raise InvalidError(f"there are {len(given)}, and {MAX_LABELS} are allowed", path=path)
    for name in given:
        if not _LABEL_NAME.fullmatch(name):
            raise InvalidError(f"{name[:100]!r} is no name of a label", path=path)


def _labels(given: Mapping[str, str]) -> dict[str, str]:
    _check_names(given, "labels")
    labels = {name: _identifying(_clean(text)) for name, text in given.items() if text}
    if not labels:
        raise InvalidError("at least one label with a value is required", path="labels")
    return labels


def _clean(text: str) -> str:
    """Replace what the store cannot keep: a text with it should still reach people."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _identifying(text: str) -> str:
    """Cut a label's value so that two that differ in the end alone stay two."""
    if len(text) <= MAX_LABEL_VALUE:
        return text
    digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    return f"{text[: MAX_LABEL_VALUE - 17]}…{digest}"


@dataclass(frozen=True, slots=True)
class PostedSilence:
    """A silence as it was posted; ``id`` is that of the one to change."""

    matchers: tuple[Matcher, ...]
    starts_at: float
    ends_at: float
    created_by: str
    comment: str
    id: str | None

    def anew(self, wall: float) -> Silence:
        """Return it as a new silence; one that begins in the past begins now."""
        return self._as(str(uuid4()), max(self.starts_at, wall))

    def over(self, old: Silence) -> Silence:
        """Return it in place of ``old``, whose beginning stays if it is past."""
        return self._as(old.id, self.starts_at)

    def _as(self, name: str, starts_at: float) -> Silence:
        return Silence(name, self.matchers, starts_at, self.ends_at, self.created_by, self.comment)


def parse_silence(body: bytes, *, wall: float) -> PostedSilence:
    """Read a silence; raises ``InvalidError`` with the path for what can never be one."""
    with reading_json(body):
        given = _silence.decode(body)
    begin, end = bounded(given.begin), bounded(given.end)
    if end <= begin:
        raise InvalidError("it must be after startsAt", path="endsAt")
    if end <= wall:
        raise InvalidError("it is in the past", path="endsAt")
    matchers = tuple(_matcher(index, each) for index, each in enumerate(given.matchers))
    if all(matcher.matches({}) for matcher in matchers):
        raise InvalidError("at least one matcher must not match the empty text", path="matchers")
    return PostedSilence(
        matchers,
        begin,
        end,
        _clean(given.created_by),
        _clean(given.comment),
        given.id or None,
    )


def _matcher(index: int, given: _PostedMatcher) -> Matcher:
    try:
        return Matcher(_clean(given.name), _clean(given.value), given.is_regex, given.is_equal)
    except MatcherError as error:
        raise InvalidError(str(error), path=f"matchers[{index}]") from None


def parse_filters(given: Iterable[str]) -> tuple[Matcher, ...]:
    """Read ``filter`` parameters, each a matcher or several; all of them must hold."""
    try:
        return tuple(matcher for text in given for matcher in parse_list(text))
    except MatcherError as error:
        raise InvalidError(str(error), path="filter") from None


def _vouched_until(alert: Alert, clocks: Clocks) -> str | None:
    """Return until when an alert counts as firing if nobody says any more of it."""
    if alert.expires_at is not None:
        return clocks.told(alert.expires_at)
    return instant(clocks.wall + RESOLVE_TIMEOUT_SECONDS)


def alert(standing: Standing, clocks: Clocks) -> dict[str, Any]:
    """Render an alert, with ``mutedBy`` as newer versions have it."""
    found, incident = standing.alert, standing.alert.incident
    assert incident is not None
    return {
        "annotations": dict(standing.annotations),
        "endsAt": _vouched_until(found, clocks),
        "fingerprint": found.fingerprint,
        "receivers": [{"name": name} for name in standing.receivers],
        "startsAt": clocks.told(_started_at(found, incident)),
        "status": {
            "state": "suppressed" if standing.suppressed else "active",
            "silencedBy": list(standing.silenced_by),
            "inhibitedBy": list(standing.inhibited_by),
            "mutedBy": list(standing.muted_by),
        },
        "updatedAt": clocks.told(max(found.updated_at, incident.started_at)),
        "generatorURL": found.generator_url,
        "labels": dict(standing.labels),
    }


def _started_at(alert: Alert, incident: Incident) -> float:
    """Return when it began: what somebody else measures, by the earliest that was said of it."""
    if alert.rule is None and alert.active_at is not None:
        return min(alert.active_at, incident.started_at)
    return incident.started_at


def groups(standings: Iterable[Standing], clocks: Clocks) -> list[dict[str, Any]]:
    """Render alerts by group and receiver; one that goes to several is in several."""
    members: dict[tuple[str, str], list[dict[str, Any]]] = {}
    labels: dict[str, dict[str, str]] = {}
    for standing in standings:
        rendered = alert(standing, clocks)
        for destination in standing.destinations:
            labels[destination.key] = dict(destination.labels)
            for receiver in destination.channels:
                members.setdefault((destination.key, receiver), []).append(rendered)
    return [
        {"labels": labels[key], "receiver": {"name": receiver}, "alerts": found}
        for (key, receiver), found in sorted(members.items())
    ]


def silence_state(silence: Silence, wall: float) -> str:
    """Return Alertmanager's word for where a silence is in its life."""
    if wall >= silence.ends_at:
        return "expired"
    return "active" if silence.active(wall) else "pending"


def silence(given: Silence, *, wall: float) -> dict[str, Any]:
    """Render a silence."""
    return {
        "id": given.id,
        "status": {"state": silence_state(given, wall)},
        "updatedAt": instant(given.updated_at),
        "comment": given.comment,
        "createdBy": given.created_by,
        "endsAt": instant(given.ends_at),
        "matchers": [
            {"isEqual": m.is_equal, "isRegex": m.is_regex, "name": m.name, "value": m.value}
            for m in given.matchers
        ],
        "startsAt": instant(given.starts_at),
    }


def sorted_silences(silences: Iterable[Silence], wall: float) -> list[Silence]:
    """Return them as Alertmanager does: what is in force and ends soonest first, what is over last."""

    def key(each: Silence) -> tuple[int, float]:
        state = silence_state(each, wall)
        if state == "active":
            return 0, each.ends_at
        return (1, each.starts_at) if state == "pending" else (2, -each.ends_at)

    return sorted(silences, key=key)
