"""What handlers take out of a request: its body, who asks, and which flag it is about."""

from __future__ import annotations

# The other decoder says no path of what is too great.
import json  # noqa: TID251
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from flags_svc.domain.fields import check_plain
from flags_svc.domain.world import ANONYMOUS, Author
from flags_svc.state import State
from flags_svc.wire.twice import refuse_twice
from windsock_kit.body import read_body
from windsock_kit.decoding import reading_json
from windsock_kit.errors import InvalidError
from windsock_kit.preconditions import expected_version

Handler = Callable[[Request[State]], Awaitable[Response]]

ACTOR, COMMENT = "X-Windsock-Actor", "X-Windsock-Comment"
MAX_ACTOR = 200
MAX_COMMENT = 1_000
_anything = msgspec.json.Decoder(Any)


async def body_of(request: Request[State]) -> bytes:
    """Return the decoded body, bounded by the service's limit both as sent and as decoded."""
    limit = request.state["max_body_bytes"]
    return await read_body(request, max_bytes=limit, max_decompressed_bytes=limit)


async def document_of(request: Request[State], *, default: Any = None) -> Any:
    """Return the JSON of the body; ``default`` if there is no body and that is given.

    Raises ``BadRequestError`` for what is no JSON, and ``InvalidError`` for what cannot be kept
    and for a name that is twice in one object.
    """
    body = await body_of(request)
    if default is not None and not body.strip():
        return default
    return json_of(body)


def json_of(body: bytes) -> Any:
    """Return what ``body`` says; raises as ``document_of`` does."""
    try:
        with reading_json(body):
            found = _anything.decode(body)
    except InvalidError:
        _find_too_great(body)
        raise
    check_plain(found, "")
    refuse_twice(body)
    return found


def _find_too_great(body: bytes) -> None:
    """Refuse a number that is too great with its path, which the decoder does not tell."""
    with suppress(ValueError, RecursionError):
        check_plain(json.loads(body, strict=False, parse_int=float), "")


def author_of(request: Request[State]) -> Author:
    """Return who changes something, and why if they say so."""
    return Author(
        _header(request, ACTOR, MAX_ACTOR) or ANONYMOUS, _header(request, COMMENT, MAX_COMMENT)
    )


def _header(request: Request[State], name: str, most: int) -> str:
    given = request.headers.get(name, "")
    try:
        # Headers are bytes; names outside of ASCII come in UTF-8.
        text = given.encode("latin-1").decode().strip()
    except UnicodeDecodeError:
        text = given.strip()
    if len(text) > most or not text.isprintable():
        raise InvalidError(f"must have at most {most} printable characters", path=name)
    return text


def expected_of(request: Request[State]) -> int | None:
    """Return the version that the change is to be one of, ``None`` if any will do."""
    return expected_version(request.headers.get("if-match"))
