"""How failures are told: below ``/v1`` in OpenAI's shape, elsewhere as problem details."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from llm_simulator.wire.errors import ApiError, render
from windsock_kit import errors as kit
from windsock_kit.errors import ServiceError
from windsock_kit.responses import problem_json, problem_members


async def _api_error(request: Request[Any], error: Exception) -> Response:
    assert isinstance(error, ApiError)
    if request.method == "POST":
        request.state["provider"].refuse(error.status)
    return render(error)


async def _service_error(request: Request[Any], error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    if not _is_api(request):
        return kit.render(error)
    told = ApiError(error.status, error.detail, code=error.code, headers=error.headers())
    return await _api_error(request, told)


async def _http_exception(request: Request[Any], error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    if _is_api(request):
        message = f"{error.detail}: {request.method} {request.url.path}"
        return render(ApiError(status, message, headers=error.headers))
    body = problem_members(status, status.name.lower(), error.detail)
    return problem_json(body, status, error.headers)


def _is_api(request: Request[Any]) -> bool:
    return request.url.path.startswith("/v1/")


exception_handlers: Mapping[Any, ExceptionHandler] = {
    **kit.exception_handlers,
    ApiError: _api_error,
    ServiceError: _service_error,
    HTTPException: _http_exception,
}
