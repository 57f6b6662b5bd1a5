"""JSON answers and problem details (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus

import orjson
from starlette.responses import Response

from windsock_kit.logs import request_id

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z


def json(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Render ``content`` as JSON; numpy values too, times in UTC end in ``Z``, NaN is ``null``."""
    return Response(orjson.dumps(content, option=_OPTIONS), status, headers, "application/json")


def problem_json(
    content: Mapping[str, object], status: int, headers: Mapping[str, str] | None = None
) -> Response:
    """Render a problem; never cached, because the next try may go better."""
    return Response(
        orjson.dumps(dict(content), option=_OPTIONS),
        status,
        {"Cache-Control": "no-store", **(headers or {})},
        "application/problem+json",
    )


def problem_members(status: HTTPStatus, code: str, detail: str) -> dict[str, object]:
    """Return what every problem has: the standard members, ``code``, the request's id if any."""
    current = request_id.get()
    return {
        "type": f"urn:windsock:problem:{code}",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "code": code,
        **({} if current is None else {"request_id": current}),
    }


def internal_error() -> Response:
    """Return the answer to a bug: it tells nothing of the inside but the id to look for."""
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    detail = "an unexpected error occurred and was logged"
    return problem_json(problem_members(status, "internal_error", detail), status)
