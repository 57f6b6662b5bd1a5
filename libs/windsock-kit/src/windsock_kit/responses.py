"""JSON answers."""

from collections.abc import Mapping

import orjson
from starlette.responses import Response

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z


def json(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Render ``content`` as JSON; numpy values too, times in UTC end in ``Z``, NaN is ``null``."""
    return Response(orjson.dumps(content, option=_OPTIONS), status, headers, "application/json")


def problem_json(
    content: Mapping[str, object], status: int, headers: Mapping[str, str] | None = None
) -> Response:
    """Render an RFC 9457 problem; never cached, because the next try may go better."""
    return Response(
        orjson.dumps(dict(content), option=_OPTIONS),
        status,
        {"Cache-Control": "no-store", **(headers or {})},
        "application/problem+json",
    )
