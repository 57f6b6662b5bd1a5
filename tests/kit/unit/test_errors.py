from collections.abc import Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from windsock_kit.errors import (
    InvalidError,
    NotFoundError,
    ServiceError,
    UnavailableError,
    UnsupportedEncodingError,
    exception_handlers,
    problem,
)
from windsock_kit.logs import request_id
from windsock_kit.testing import running


@pytest.fixture
def current_request_id() -> Iterator[str]:
    token = request_id.set("r-1")
    yield "r-1"
    request_id.reset(token)


async def answer_to(error: Exception) -> httpx.Response:
    async def fail(_: Request) -> Response:
        raise error

    app = Starlette(
        routes=[Route("/fail", fail, methods=["POST"])], exception_handlers=exception_handlers
    )
    async with running(app) as client:
        return await client.post("/fail")


def test_problem_has_the_standard_members_and_the_code() -> None:
    body = problem(NotFoundError("no rule 7"))

    assert body == {
        "type": "urn:windsock:problem:not_found",
        "title": "Not Found",
        "status": 404,
        "detail": "no rule 7",
        "code": "not_found",
    }


def test_problem_names_the_path_and_the_allowed_values() -> None:
    body = problem(InvalidError("unknown step", path="queries[0].step", allowed=("1m", "1h")))

    assert body["path"] == "queries[0].step"
    assert body["allowed"] == ["1m", "1h"]


def test_problem_carries_the_request_id(current_request_id: str) -> None:
    assert problem(NotFoundError("gone"))["request_id"] == current_request_id


def test_extra_members_cannot_replace_the_standard_ones() -> None:
    body = problem(UnavailableError("later", extra={"status": 200, "queue": 9}))

    assert body["status"] == 503
    assert body["queue"] == 9


@pytest.mark.parametrize(("seconds", "header"), [(1, "1"), (0.2, "1"), (2.5, "3"), (0, "0")])
def test_retry_after_is_rounded_up_to_whole_seconds(seconds: float, header: str) -> None:
    assert UnavailableError("later", retry_after=seconds).headers() == {"Retry-After": header}


def test_unsupported_encoding_tells_what_is_read() -> None:
    error = UnsupportedEncodingError("no br", allowed=("gzip", "zstd"))

    assert error.headers() == {"Accept-Encoding": "gzip, zstd"}
    assert problem(error)["allowed"] == ["gzip", "zstd"]


async def test_service_error_is_answered_as_problem_json() -> None:
    response = await answer_to(UnavailableError("store away", retry_after=1))

    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"] == "1"
    assert response.headers["cache-control"] == "no-store"
    assert response.json()["detail"] == "store away"


async def test_subclass_of_a_service_is_rendered_with_its_own_code() -> None:
    class TeapotError(ServiceError):
        status = NotFoundError.status
        code = "teapot"

    assert (await answer_to(TeapotError("short"))).json()["code"] == "teapot"


async def test_client_that_left_is_no_bug() -> None:
    assert (await answer_to(ClientDisconnect())).status_code == 499


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nowhere", 404, "not_found"), ("GET", "/fail", 405, "method_not_allowed")],
    ids=["unknown path", "wrong method"],
)
async def test_routing_errors_are_problems_too(
    method: str, path: str, status: int, code: str
) -> None:
    async def fail(_: Request) -> Response:
        raise NotFoundError("never reached")

    app = Starlette(
        routes=[Route("/fail", fail, methods=["POST"])], exception_handlers=exception_handlers
    )
    async with running(app) as client:
        response = await client.request(method, path)

    assert response.status_code == status
    assert response.json()["code"] == code
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers.get("allow") == ("POST" if status == 405 else None)
