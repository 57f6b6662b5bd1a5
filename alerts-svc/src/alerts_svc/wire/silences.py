"""Silences as they travel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from alerts_svc.domain.matcher import Matcher
from alerts_svc.domain.silence import Silence
from alerts_svc.wire.decoding import Short, Text, decode
from alerts_svc.wire.matchers import SomeMatchers, matchers_of, tell_matchers
from alerts_svc.wire.times import Moment, instant, seconds_of
from windsock_kit.errors import ConflictError, InvalidError

Answer = dict[str, Any]

MAX_MINUTES = 525_600
MAX_SILENCES = 5_000


class SilenceState(StrEnum):
    """Where a silence stands at a moment."""

    PENDING = "pending"
    ACTIVE = "active"
    EXPIRED = "expired"


class SilenceBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A silence; how long is said by ``ends_at`` or by ``minutes``."""

    matchers: SomeMatchers
    starts_at: Moment | None = None
    ends_at: Moment | None = None
    minutes: Annotated[float, Meta(gt=0, le=MAX_MINUTES)] | None = None
    created_by: Short
    comment: Text = ""


_decoder = msgspec.json.Decoder(SilenceBody)


def parse_silence(body: bytes, *, identity: str, wall: float) -> Silence:
    """Decode a silence that is to be known as ``identity``; ``wall`` is now."""
    given = decode(_decoder, body)
    begin = wall if given.starts_at is None else seconds_of(given.starts_at, "starts_at")
    end = _end(given, begin)
    if end <= begin:
        raise InvalidError("ends_at must be after starts_at", path="ends_at")
    if end <= wall:
        raise InvalidError("the silence would be over already", path="ends_at")
    matchers = matchers_of(given.matchers, "matchers")
    _check_narrow(matchers)
    return Silence(identity, matchers, begin, end, given.created_by, given.comment, wall)


def _end(given: SilenceBody, begin: float) -> float:
    if (given.ends_at is None) == (given.minutes is None):
        raise InvalidError("give either ends_at or minutes", path="ends_at")
    if given.minutes is not None:
        return begin + given.minutes * 60
    assert given.ends_at is not None
    end = seconds_of(given.ends_at, "ends_at")
    if end - begin > MAX_MINUTES * 60:
        raise InvalidError(f"a silence lasts at most {MAX_MINUTES} minutes", path="ends_at")
    return end


def _check_narrow(matchers: tuple[Matcher, ...]) -> None:
    """Refuse what matches an alert without any label: it would silence everything for ever new alerts."""
    if all(matcher.matches({}) for matcher in matchers):
        raise InvalidError(
            "these matchers match everything; at least one must not match an empty value",
            path="matchers",
        )


def check_room(held: Iterable[Silence], wall: float) -> None:
    """Refuse one more silence where there are too many: each is held against every alert at every decision."""
    if sum(silence.ends_at > wall for silence in held) >= MAX_SILENCES:
        raise ConflictError(
            f"there are {MAX_SILENCES} silences that are not over, and no more are possible"
        )


def changed(held: Silence, wanted: Silence, *, wall: float) -> Silence:
    """Return the silence as it is to be from now on; raises ``ConflictError`` when it is over.

    What has begun keeps its beginning: that it was in force then cannot be changed any more.
    """
    if state_of(held, wall) is SilenceState.EXPIRED:
        raise ConflictError("the silence has expired; make a new one")
    if state_of(held, wall) is SilenceState.ACTIVE:
        return replace(wanted, starts_at=held.starts_at)
    return wanted


def state_of(silence: Silence, wall: float) -> SilenceState:
    """Return where a silence stands."""
    if silence.ends_at <= wall:
        return SilenceState.EXPIRED
    return SilenceState.PENDING if wall < silence.starts_at else SilenceState.ACTIVE


def tell_silence(silence: Silence, wall: float) -> Answer:
    """Return a silence as it is told."""
    return {
        "id": silence.id,
        "state": state_of(silence, wall),
        "matchers": tell_matchers(silence.matchers),
        "starts_at": instant(silence.starts_at),
        "ends_at": instant(silence.ends_at),
        "created_by": silence.created_by,
        "comment": silence.comment,
        "updated_at": instant(silence.updated_at),
    }
