"""For whom flags are to be evaluated, and what they give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flags_svc.domain.fields import fields_of, list_of, object_of, text_of, whole_of
from flags_svc.domain.names import environment_of
from windsock.flags.definition import TARGETING_KEY
from windsock.flags.results import Evaluation
from windsock_kit.errors import InvalidError

# The most that a version or revision can be: they are bigints.
MOST = 2**63 - 1
MAX_FLAGS = 1_000
MAX_UNIT = 1_000
_WHO = ("user_id", "context", "environment")


@dataclass(frozen=True, slots=True)
class Question:
    """For whom, and where; ``environment`` is ``None`` for the default one.

    ``version`` or ``revision`` ask for what was then, and ``flags`` for these alone.
    """

    unit: str | None
    context: Mapping[str, Any]
    environment: str | None
    version: int | None = None
    revision: int | None = None
    flags: tuple[str, ...] | None = None


def question_of(value: object) -> Question:
    """Return for whom one flag is to be evaluated, and as of when; raises ``InvalidError``."""
    fields = fields_of(value, "", (*_WHO, "version", "revision"))
    version, revision = _number(fields, "version"), _number(fields, "revision")
    if version is not None and revision is not None:
        raise InvalidError("give either version or revision", path="revision")
    return Question(*_asked(fields), version, revision)


def question_of_several(value: object) -> Question:
    """Return for whom flags are to be evaluated, all or some; raises ``InvalidError``."""
    fields = fields_of(value, "", (*_WHO, "flags"))
    given = fields.get("flags")
    flags = (
        None
        if given is None
        else tuple(text_of(each, path, 200) for path, each in list_of(given, "flags", MAX_FLAGS))
    )
    return Question(*_asked(fields), flags=flags)


def _asked(fields: Mapping[str, Any]) -> tuple[str | None, Mapping[str, Any], str | None]:
    context = dict(object_of(fields.get("context", {}), "context"))
    unit = context.pop(TARGETING_KEY, None)
    if unit is not None:
        unit = text_of(unit, f"context.{TARGETING_KEY}", MAX_UNIT)
    if fields.get("user_id") is not None:
        unit = text_of(fields["user_id"], "user_id", MAX_UNIT)
    environment = fields.get("environment")
    where = None if environment is None else environment_of(environment, "environment")
    # As in the SDK and over OFREP, an empty text is no user.
    return unit or None, context, where


def _number(fields: Mapping[str, Any], name: str) -> int | None:
    given = fields.get(name)
    return None if given is None else whole_of(given, name, 1, MOST)


def evaluation_view(found: Evaluation) -> dict[str, Any]:
    """Return what a flag gives; without a variant, users get their caller's default, so there is no value."""
    told: dict[str, Any] = {"variant": found.variant, "reason": found.reason}
    if found.variant is not None:
        told["value"] = found.value
    if found.error_code is not None:
        told |= {"error_code": found.error_code, "error_message": found.error_message}
    return told
