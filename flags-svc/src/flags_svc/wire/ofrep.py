"""OFREP's bodies, as its specification 0.3 has them: what is asked, what is answered, what is refused.

https://github.com/open-feature/protocol
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import orjson

from flags_svc.wire.questions import MAX_UNIT
from windsock.flags.definition import TARGETING_KEY
from windsock.flags.evaluation import (
    DEFAULT,
    DISABLED,
    FLAG_NOT_FOUND,
    GENERAL,
    INVALID_CONTEXT,
    PARSE_ERROR,
    SPLIT,
    STATIC,
    TARGETING_KEY_MISSING,
    TARGETING_MATCH,
    Evaluation,
)
from windsock_kit.errors import ServiceError

# What may stand in an answer about a flag; everything else is told as GENERAL.
_CODES: Final = frozenset({PARSE_ERROR, TARGETING_KEY_MISSING, INVALID_CONTEXT})
_REASONS: Final = frozenset({STATIC, TARGETING_MATCH, SPLIT, DISABLED})
_SHOWN_KEY: Final = 100
# Some clients close a stream that nobody looks at after this long.
INACTIVITY_SECONDS: Final = 120


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom flags are evaluated for: the user, if there is one, and all that is known of them."""

    unit: str | None
    context: Mapping[str, object]

    def canonical(self) -> bytes:
        """Return a text that equal contexts share, whatever order they were written in."""
        try:
            return orjson.dumps(self.context, option=orjson.OPT_SORT_KEYS)
        except orjson.JSONEncodeError:
            # More can be read than written.
            raise RefusedError(400, INVALID_CONTEXT, "context is nested too deeply") from None


class RefusedError(Exception):
    """A request that OFREP has an answer of its own for."""

    def __init__(self, status: int, code: str, details: str) -> None:
        super().__init__(details)
        self.status = status
        self.code = code
        self.details = details
        self.headers: Mapping[str, str] = {}

    @classmethod
    def because(cls, error: ServiceError) -> RefusedError:
        """Return the same failure in OFREP's words."""
        code = PARSE_ERROR if error.status == HTTPStatus.BAD_REQUEST else GENERAL
        refused = cls(int(error.status), code, error.detail)
        refused.headers = error.headers()
        return refused

    def body(self, key: str | None) -> bytes:
        """Return the answer; ``key`` is the flag's that was asked for, if it was one."""
        told = {"errorCode": self.code, "errorDetails": self.details}
        return orjson.dumps(told if key is None else {"key": key, **told})


def parse_request(body: bytes) -> Asked:
    """Read whom to evaluate for; raises ``RefusedError``.

    The context may be missing, and its targeting key too: most flags need neither, and clients
    that were given none send none.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RefusedError(400, PARSE_ERROR, f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise RefusedError(400, PARSE_ERROR, 'the body must be an object such as {"context": {}}')
    context = document.get("context", {})
    if not isinstance(context, dict):
        raise RefusedError(400, INVALID_CONTEXT, "context must be an object")
    unit = context.get(TARGETING_KEY)
    if unit is not None and not isinstance(unit, str):
        raise RefusedError(400, INVALID_CONTEXT, f"context.{TARGETING_KEY} must be a text")
    if unit and (len(unit) > MAX_UNIT or "\0" in unit):
        details = f"context.{TARGETING_KEY} must have at most {MAX_UNIT} characters, and no U+0000"
        raise RefusedError(400, INVALID_CONTEXT, details)
    # One key for all who have none would give all of them the same.
    return Asked(unit or None, context)


def unknown_flag(key: str, environment: str) -> RefusedError:
    """Return the answer to who asks for what is not there."""
    shown = key if len(key) <= _SHOWN_KEY else key[:_SHOWN_KEY] + "…"
    return RefusedError(404, FLAG_NOT_FOUND, f"there is no flag {shown!r} in {environment}")


def tell(evaluation: Evaluation, flag_type: str) -> bytes:
    """Return what a flag gave, alone or as one of many.

    Clients refuse an answer without a variant, so that there is always one. Without a value they
    take the caller's default.
    """
    told: dict[str, object] = {
        "key": evaluation.flag_key,
        "reason": _reason(evaluation),
        "variant": evaluation.variant or "",
    }
    if evaluation.variant is not None:
        value = evaluation.value
        # Typed clients take a number without a decimal point for no float.
        told["value"] = float(value) if flag_type == "float" and type(value) is int else value
    return orjson.dumps(told)


def tell_failure(evaluation: Evaluation) -> bytes:
    """Return why a flag gave nothing, alone or as one of many."""
    code, details = evaluation.error_code, evaluation.error_message
    if code == TARGETING_KEY_MISSING:
        # The evaluator says it in the SDK's words.
        details = f"the flag needs context.{TARGETING_KEY}"
    return orjson.dumps(
        {
            "key": evaluation.flag_key,
            "errorCode": code if code in _CODES else GENERAL,
            "errorDetails": details or "the flag cannot be evaluated",
        }
    )


def _reason(evaluation: Evaluation) -> str:
    """Return the reason in the words that OFREP's schema has; it has none for the fallthrough after rules.

    A value that comes from there was chosen for this context all the same.
    """
    if evaluation.reason in _REASONS:
        return evaluation.reason
    return DEFAULT if evaluation.variant is None else TARGETING_MATCH


def tell_streams(request_uri: str) -> bytes:
    """Return where a client hears of changes, on the host that it asked."""
    return orjson.dumps(
        [
            {
                "type": "sse",
                "endpoint": {"requestUri": request_uri},
                "inactivityDelaySec": INACTIVITY_SECONDS,
            }
        ]
    )


def tell_set(environment: str, event_id: str) -> bytes:
    """Return what is known of all flags of an answer together."""
    return orjson.dumps({"environment": environment, "version": event_id})


def refetch_event(event_id: str) -> bytes:
    """Return the event that has a client ask again; it says from which version on the answer is right."""
    data = orjson.dumps({"type": "refetchEvaluation", "etag": event_id})
    return b"id: %b\nevent: message\ndata: %b\n\n" % (event_id.encode(), data)


def connected_event(event_id: str, retry_milliseconds: int) -> bytes:
    """Return the event that begins a stream: clients pass over its type, but remember its id."""
    return b'retry: %d\nid: %b\nevent: message\ndata: {"type":"connected"}\n\n' % (
        retry_milliseconds,
        event_id.encode(),
    )


def matches(if_none_match: bytes, etag: bytes) -> bool:
    """Say whether a client has what ``etag`` names; a proxy that compresses makes weak tags of strong ones."""
    return any(
        each.strip().removeprefix(b"W/") in {etag, b"*"} for each in if_none_match.split(b",")
    )
