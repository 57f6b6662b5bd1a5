from collections.abc import Callable

import httpx
import pytest
import structlog
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route

from windsock_kit import responses
from windsock_kit.errors import NotFoundError, exception_handlers
from windsock_kit.health import livez
from windsock_kit.logs import request_id
from windsock_kit.middleware import standard
from windsock_kit.testing import running


async def say_id(_: Request) -> Response:
    return responses.json({"id": request_id.get()})


async def find(request: Request) -> Response:
    raise NotFoundError(f"no rule {request.path_params['rule']}")


async def crash(_: Request) -> Response:
    raise RuntimeError("the store's password is s3cret")


async def break_off(_: Request) -> Response:
    async def parts() -> object:
        yield b"begun"
        raise RuntimeError("half way")

    return StreamingResponse(parts())  # type: ignore[arg-type]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def app(registry: CollectorRegistry) -> Starlette:
    return Starlette(
        routes=[
            Route("/id", say_id),
            Route("/rules/{rule}", find, methods=["GET", "PUT"]),
            Route("/crash", crash),
            Route("/break", break_off),
            Route("/links/{token}", say_id),
            Route("/livez", livez),
            Mount("/files", app=responses.json({})),
        ],
        middleware=standard(registry),
        exception_handlers=exception_handlers,
    )


@pytest.fixture
def count(registry: CollectorRegistry) -> Callable[[str, str, str], float | None]:
    def value(method: str, route: str, status: str) -> float | None:
        labels = {"method": method, "route": route, "status": status}
        return registry.get_sample_value("http_server_request_duration_seconds_count", labels)

    return value


async def get(app: Starlette, path: str, **headers: str) -> httpx.Response:
    async with running(app) as client:
        return await client.get(path, headers=headers)


@pytest.mark.parametrize("given", ["a", "A-b_c.9", "x" * 128])
async def test_sane_request_id_is_kept_and_echoed(app: Starlette, given: str) -> None:
    response = await get(app, "/id", **{"X-Request-ID": given})

    assert response.json() == {"id": given}
    assert response.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\tb", "<script>", "ü"])
async def test_other_request_id_is_replaced(app: Starlette, given: str) -> None:
    async with running(app) as client:
        response = await client.get("/id", headers=[(b"x-request-id", given.encode())])

    assert response.json() == {"id": response.headers["x-request-id"]}
    assert len(response.headers["x-request-id"]) == 32


async def test_request_id_is_forgotten_after_the_request(app: Starlette) -> None:
    await get(app, "/id")

    assert request_id.get() is None


@pytest.mark.parametrize(
    ("method", "path", "labels"),
    [
        ("GET", "/rules/7", ("GET", "/rules/{rule}", "4xx")),
        ("DELETE", "/rules/7", ("DELETE", "/rules/{rule}", "4xx")),
        ("GET", "/nowhere/else", ("GET", "unmatched", "4xx")),
        ("BREW", "/id", ("_OTHER", "/id", "4xx")),
        ("GET", "/crash", ("GET", "/crash", "5xx")),
        ("GET", "/files/a/b", ("GET", "/files", "2xx")),
    ],
)
async def test_durations_are_counted_by_template_never_by_path(
    app: Starlette,
    count: Callable[[str, str, str], float | None],
    method: str,
    path: str,
    labels: tuple[str, str, str],
) -> None:
    async with running(app) as client:
        await client.request(method, path)

    assert count(*labels) == 1


async def test_bug_is_answered_without_its_inside_and_logged_with_it(app: Starlette) -> None:
    with structlog.testing.capture_logs() as logged:
        response = await get(app, "/crash")

    assert response.status_code == 500
    assert response.json()["request_id"] == response.headers["x-request-id"]
    assert "s3cret" not in response.text
    (failure,) = [line for line in logged if line["event"] == "request_failed"]
    assert failure["route"] == "/crash"
    assert failure["exc_info"]


async def test_answer_that_breaks_off_is_not_patched_up(app: Starlette) -> None:
    with pytest.raises(RuntimeError, match="half way"):
        await get(app, "/break")


async def test_each_request_is_logged_once_without_its_query(app: Starlette) -> None:
    with structlog.testing.capture_logs() as logged:
        await get(app, "/id?user=ann")

    (line,) = logged
    assert line["log_level"] == "info"
    assert (line["method"], line["path"], line["status"]) == ("GET", "/id", 200)
    assert line["duration_ms"] >= 0
    assert "ann" not in str(line)


@pytest.mark.parametrize("path", ["/links/s3cret", "/links/s3cret/", "/links/s3cret/more"])
async def test_token_in_a_path_is_not_logged(app: Starlette, path: str) -> None:
    with structlog.testing.capture_logs() as logged:
        await get(app, path)

    assert [line["path"] for line in logged] == ["/links/{token}"]


async def test_polled_path_is_logged_at_debug_level(app: Starlette) -> None:
    with structlog.testing.capture_logs() as logged:
        await get(app, "/livez")

    assert [line["log_level"] for line in logged] == ["debug"]
