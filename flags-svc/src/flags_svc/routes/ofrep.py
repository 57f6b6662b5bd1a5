"""``/ofrep/v1/evaluate``: OpenFeature's remote evaluation, one flag or all of them.

These are plain ASGI applications: every page and every server that uses flags without our SDK asks
here, and the request and response objects of the framework would take as long as the answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from flags_svc.ofrep.answers import Answers
from flags_svc.routes.cors import PREFLIGHT, allowing, preflight
from flags_svc.wire.ofrep import Asked, RefusedError, matches, parse_request
from windsock_kit.body import BODY_SECONDS, read_body
from windsock_kit.errors import ServiceError, SlowBodyError, TooLargeError

Headers = list[tuple[bytes, bytes]]

_JSON = (b"content-type", b"application/json")
# Values are for one context, and no one's business but the asker's.
_PRIVATE = (b"cache-control", b"private, no-cache")
_ENVIRONMENT = b"x-windsock-environment"


class _Endpoint:
    """What both addresses have in common: reading what is asked, and telling what went wrong."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if scope["method"] == PREFLIGHT:
            await preflight(headers, send)
            return
        try:
            answer = await self.answer(scope, receive, headers)
        except (RefusedError, ServiceError) as error:
            refused = RefusedError.because(error) if isinstance(error, ServiceError) else error
            body = refused.body(scope["path_params"].get("key"))
            answer = refused.status, body, _told(refused.headers.items())
        await _respond(send, headers, *answer)

    async def answer(
        self, scope: Scope, receive: Receive, headers: dict[bytes, bytes]
    ) -> tuple[int, bytes, Headers]:
        """Return status, body and what headers there are beside the usual ones."""
        raise NotImplementedError


class EvaluateOne(_Endpoint):
    """Evaluates the flag that the address names."""

    async def answer(
        self, scope: Scope, receive: Receive, headers: dict[bytes, bytes]
    ) -> tuple[int, bytes, Headers]:
        """Return what the flag gives, or why it gives nothing."""
        answers: Answers = scope["state"]["ofrep"].answers
        asked = await _asked(scope, receive, headers)
        environment = _environment(scope, headers) or answers.default_environment
        status, body = answers.one(environment, scope["path_params"]["key"], asked)
        return status, body, []


class EvaluateAll(_Endpoint):
    """Evaluates all flags, unless the asker has the answer already."""

    async def answer(
        self, scope: Scope, receive: Receive, headers: dict[bytes, bytes]
    ) -> tuple[int, bytes, Headers]:
        """Return what all flags give, or that nothing has changed."""
        answers: Answers = scope["state"]["ofrep"].answers
        asked = await _asked(scope, receive, headers)
        environment = _environment(scope, headers) or answers.default_environment
        heard = _parameter(scope, "flagConfigEtag")
        if heard:
            await answers.catch_up_with(heard)
        etag = answers.etag(environment, asked)
        told = [(b"etag", etag)]
        if matches(headers.get(b"if-none-match", b""), etag):
            return 304, b"", told
        return 200, answers.all(environment, asked), told


async def _asked(scope: Scope, receive: Receive, headers: dict[bytes, bytes]) -> Asked:
    limit: int = scope["state"]["ofrep"].max_body_bytes
    if b"content-encoding" in headers:
        request: Request[Any] = Request(scope, receive)
        body = await read_body(request, max_bytes=limit, max_decompressed_bytes=limit)
    else:
        body = await _body(receive, limit)
    return parse_request(body)


async def _body(receive: Receive, limit: int) -> bytes:
    """Return a body as it was sent."""
    parts: list[bytes] = []
    size, more = 0, True
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while more and size <= limit:
                part, more = await _part(receive)
                parts.append(part)
                size += len(part)
    except TimeoutError:
        raise SlowBodyError(f"the body did not arrive within {BODY_SECONDS:g} seconds") from None
    if size > limit:
        raise TooLargeError(f"the body is over the limit of {limit} bytes")
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _part(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


def _environment(scope: Scope, headers: dict[bytes, bytes]) -> str | None:
    given = headers.get(_ENVIRONMENT)
    return given.decode("latin-1") if given else _parameter(scope, "environment")


def _parameter(scope: Scope, name: str) -> str | None:
    query: bytes = scope["query_string"]
    if not query:
        return None
    return next((value for key, value in parse_qsl(query.decode("latin-1")) if key == name), None)


def _told(headers: Iterable[tuple[str, str]]) -> Headers:
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]


async def _respond(
    send: Send, asked: dict[bytes, bytes], status: int, body: bytes, told: Headers
) -> None:
    headers = [*told, _PRIVATE]
    if status != 304:
        headers += [_JSON, (b"content-length", b"%d" % len(body))]
    if b"origin" in asked:
        headers += allowing(asked[b"origin"])
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


routes = [
    Route("/ofrep/v1/evaluate/flags", EvaluateAll(), methods=["POST", PREFLIGHT]),
    # Clients do not encode a slash in a key, and are to hear that there is no such flag.
    Route("/ofrep/v1/evaluate/flags/{key:path}", EvaluateOne(), methods=["POST", PREFLIGHT]),
]
