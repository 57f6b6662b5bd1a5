"""How failures are told: below ``/v1`` in OpenAI's shape, elsewhere as problem details."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from llm_simulator.state import State
from llm_simulator.wire.errors import ApiError, render
from windsock_kit import errors as kit


async def _api_error(request: Request[State], error: Exception) -> Response:
    assert isinstance(error, ApiError)
    if request.method == "POST":
        request.state["provider"].refuse(error.status)
    return render(error)


async def _service_error(request: Request[Any], error: Exception) -> Response:
    assert isinstance(error, kit.ServiceError)
    if not _is_api(request):
        return kit.render(error)
    return await _api_error(
        request, ApiError(error.status, error.detail, code=error.code, headers=error.headers())
    )


async def _http_exception(request: Request[Any], error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if not _is_api(request):
        answer = kit.exception_handlers[HTTPException](request, error)
        assert not isinstance(answer, Response)
        return await answer
    message = f"{error.detail}: {request.method} {request.url.path}"
    return render(ApiError(error.status_code, message, headers=error.headers))


def _is_api(request: Request[Any]) -> bool:
    return request.url.path.startswith("/v1/")


exception_handlers: Mapping[Any, ExceptionHandler] = {
    **kit.exception_handlers,
    ApiError: _api_error,
    kit.ServiceError: _service_error,
    HTTPException: _http_exception,
}
