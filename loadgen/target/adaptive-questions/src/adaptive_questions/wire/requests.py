"""The bodies of the four questions that can be asked, and who asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from adaptive_questions.domain.gap import Asker, Brief, Gap, Language, Priority
from adaptive_questions.wire.reading import checked_document, decoded
from windsock_kit.errors import InvalidError

MAX_GAPS = 50
MAX_NAME = 200
USER_HEADER, SESSION_HEADER = "X-User-ID", "X-Session-ID"

_NOT_BLANK = r"\S"
_Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
_Text = Annotated[str, Meta(pattern=_NOT_BLANK, max_length=10_000)]


class GapIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One gap as it is sent."""

    skill: Annotated[str, Meta(pattern=_NOT_BLANK, max_length=200)]
    priority: Priority
    description: Annotated[str, Meta(max_length=2_000)] = ""

    def value(self) -> Gap:
        """Return the gap."""
        return Gap(self.skill, self.priority, self.description)


class _Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every body has."""

    parsed_cv: dict[str, Any]
    parsed_jd: dict[str, Any]
    language: Language = Language.ENGLISH
    user_id: _Name | None = None
    session_id: _Name | None = None

    def brief(self) -> Brief:
        """Return what the gaps share."""
        return Brief(self.parsed_cv, self.parsed_jd, self.language)

    def asker(self, headers: Mapping[str, str]) -> Asker:
        """Return who asks: the body's word counts more than that of ``headers``."""
        user_id, session_id = _header(headers, USER_HEADER), _header(headers, SESSION_HEADER)
        return Asker(self.user_id or user_id, self.session_id or session_id)


class BatchRequest(_Request, frozen=True, kw_only=True):
    """The body of batch-generate."""

    gaps: Annotated[list[GapIn], Meta(min_length=1, max_length=MAX_GAPS)]


class GenerateRequest(_Request, frozen=True, kw_only=True):
    """The body of generate, streamed or not."""

    gap: GapIn


class RefineRequest(_Request, frozen=True, kw_only=True):
    """The body of refine."""

    gap: GapIn
    question: _Text
    feedback: _Text


class EvaluateRequest(_Request, frozen=True, kw_only=True):
    """The body of evaluate; without an answer the question itself is judged."""

    gap: GapIn
    question: _Text
    answer: _Text | None = None


_Body = TypeVar("_Body", bound=_Request)

_batch = msgspec.json.Decoder(BatchRequest)
_generate = msgspec.json.Decoder(GenerateRequest)
_refine = msgspec.json.Decoder(RefineRequest)
_evaluate = msgspec.json.Decoder(EvaluateRequest)
# By the last name of the path to the value.
_ALLOWED = {"priority": [*Priority], "language": [*Language]}


def parse_batch(body: bytes) -> BatchRequest:
    """Decode a body; what is wrong is an ``InvalidError`` with its path and what is allowed."""
    return _parsed(_batch, body)


def parse_generate(body: bytes) -> GenerateRequest:
    """Decode a body like ``parse_batch``."""
    return _parsed(_generate, body)


def parse_refine(body: bytes) -> RefineRequest:
    """Decode a body like ``parse_batch``."""
    return _parsed(_refine, body)


def parse_evaluate(body: bytes) -> EvaluateRequest:
    """Decode a body like ``parse_batch``."""
    return _parsed(_evaluate, body)


def _parsed(decoder: msgspec.json.Decoder[_Body], body: bytes) -> _Body:
    given = decoded(decoder, body, _ALLOWED)
    checked_document(given.parsed_cv, "parsed_cv")
    checked_document(given.parsed_jd, "parsed_jd")
    return given


def _header(headers: Mapping[str, str], name: str) -> str | None:
    text = headers.get(name, "").strip()
    if len(text) > MAX_NAME or not (text.isascii() and text.isprintable()):
        raise InvalidError(f"{name} must be up to {MAX_NAME} printable ASCII characters", path=name)
    return text or None
