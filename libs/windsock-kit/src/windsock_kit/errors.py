"""Expected failures, and how they are told to a client."""

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from windsock_kit.responses import internal_error, problem_json, problem_members


class ServiceError(Exception):
    """Base of every expected failure. Anything else is a bug and a 500.

    ``path`` names the wrong field, ``allowed`` what would have been right, ``retry_after`` is in
    seconds, and ``extra`` holds members that stand in the problem beside the standard ones.
    """

    status: ClassVar[HTTPStatus]
    code: ClassVar[str]

    def __init__(
        self,
        detail: str,
        *,
        path: str | None = None,
        allowed: Sequence[str] | None = None,
        retry_after: float | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.path = path
        self.allowed = allowed
        self.retry_after = retry_after
        self.extra = extra or {}

    def headers(self) -> dict[str, str]:
        """Return the headers that go with the answer; Retry-After is in whole seconds."""
        return {} if self.retry_after is None else {"Retry-After": f"{math.ceil(self.retry_after)}"}


class BadRequestError(ServiceError):
    """The body cannot be read at all."""

    status = HTTPStatus.BAD_REQUEST
    code = "malformed_body"


class NotFoundError(ServiceError):
    """The thing asked for does not exist."""

    status = HTTPStatus.NOT_FOUND
    code = "not_found"


class ConflictError(ServiceError):
    """The request does not fit the current state."""

    status = HTTPStatus.CONFLICT
    code = "conflict"


class SlowBodyError(BadRequestError):
    """The body did not arrive in time, so it cannot be read."""

    def headers(self) -> dict[str, str]:
        """Return the header that ends the connection: nobody waits for the rest of the body."""
        return {"Connection": "close"}


class TooLargeError(ServiceError):
    """The body is over a limit; the detail names which one."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "too_large"


class UnsupportedEncodingError(ServiceError):
    """The Content-Encoding is not one that the service reads (RFC 9110, section 15.5.16)."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_encoding"

    def headers(self) -> dict[str, str]:
        """Return the Accept-Encoding header that tells what would have been read."""
        return {"Accept-Encoding": ", ".join(self.allowed or ())}


class InvalidError(ServiceError):
    """Well-formed, but a value is wrong: ``path`` tells which one."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "invalid"


class UnavailableError(ServiceError):
    """Something that the service needs is away for the moment; trying again is right."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "unavailable"


def problem(error: ServiceError) -> dict[str, object]:
    """Return the problem details of ``error``, with the request's id when there is one."""
    body = dict(error.extra) | problem_members(error.status, error.code, error.detail)
    if error.path is not None:
        body["path"] = error.path
    if error.allowed is not None:
        body["allowed"] = list(error.allowed)
    return body


def render(error: ServiceError) -> Response:
    """Return the answer to an expected failure."""
    return problem_json(problem(error), error.status, error.headers())


async def _service_error(_: Request[Any], error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    return render(error)


async def _http_exception(_: Request[Any], error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    body = problem_members(status, status.name.lower(), error.detail)
    return problem_json(body, status, error.headers)


async def _client_disconnect(_: Request[Any], error: Exception) -> Response:
    # 499 is nginx's number for a client that left; nobody reads it but our own log and metrics.
    return Response(status_code=499)


async def _unexpected(_: Request[Any], error: Exception) -> Response:
    # Starlette raises the error again after this answer, and uvicorn logs it with its traceback.
    return internal_error()


exception_handlers: Mapping[Any, ExceptionHandler] = {
    ServiceError: _service_error,
    HTTPException: _http_exception,
    ClientDisconnect: _client_disconnect,
    Exception: _unexpected,
}
