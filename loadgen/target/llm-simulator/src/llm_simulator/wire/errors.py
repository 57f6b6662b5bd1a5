"""Refusals in OpenAI's shape, for everything below ``/v1``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import Response

from windsock_kit.responses import json


class ApiError(Exception):
    """A call that is refused, as its client is told."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = int(status)
        self.message = message
        self.kind = kind
        self.param = param
        self.code = code
        self.headers = headers or {}


def bad_value(message: str, param: str | None, code: str | None = None) -> ApiError:
    """Return the refusal of a wrong parameter."""
    return ApiError(HTTPStatus.BAD_REQUEST, message, param=param, code=code)


def server_error(status: int, message: str, *, retry_after: float | None = None) -> ApiError:
    """Return the failure of a provider, as a fault or an overload brings it about."""
    return ApiError(
        status,
        message,
        kind="server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "simulated_fault",
        headers={} if retry_after is None else retry_header(retry_after),
    )


def retry_header(seconds: float) -> dict[str, str]:
    """Return Retry-After in whole seconds, one at least."""
    return {"Retry-After": f"{max(1, math.ceil(seconds))}"}


def render(error: ApiError) -> Response:
    """Return the answer."""
    body = {
        "message": error.message, "type": error.kind, "param": error.param, "code": error.code,
    }  # fmt: skip
    return json({"error": body}, error.status, {"Cache-Control": "no-store", **error.headers})
