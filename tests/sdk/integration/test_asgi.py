"""The middleware in real applications, served over real HTTP."""

import asyncio
import logging
from collections.abc import AsyncGenerator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, NoReturn
from urllib.parse import urlsplit

import httpx
import pytest
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Host, Mount, Route

import windsock
from windsock.ambient import OPERATION
from windsock.integrations.asgi import WindsockMiddleware, mark_failed
from windsock.testing import Captured
from windsock_kit.testing import serving

PAUSE_SECONDS = 0.05


@windsock.track_node("answer")
async def answer(state: dict[str, str]) -> None:
    await asyncio.sleep(0)


async def ask(request: Request) -> Response:
    name = OPERATION.get()
    await answer({"gap_priority": "HIGH"})
    assert OPERATION.get() == name
    return JSONResponse({"operation": name, **request.path_params})


async def stream(request: Request) -> Response:
    async def parts() -> AsyncGenerator[str]:
        for part in ("one", "two"):
            await asyncio.sleep(PAUSE_SECONDS)
            yield part

    return StreamingResponse(parts())


async def events(request: Request) -> Response:
    async def parts() -> AsyncGenerator[dict[str, str]]:
        for part in ("one", "two"):
            await asyncio.sleep(PAUSE_SECONDS)
            yield {"data": part}

    return EventSourceResponse(parts())


async def endless(request: Request) -> Response:
    async def parts() -> AsyncGenerator[str]:
        while True:
            yield "x" * 1_000
            await asyncio.sleep(0.001)

    return StreamingResponse(parts())


async def fail(request: Request) -> NoReturn:
    raise LookupError("no such gap")


async def fail_midway(request: Request) -> Response:
    async def parts() -> AsyncGenerator[str]:
        yield "one"
        raise LookupError("half an answer")

    return StreamingResponse(parts())


async def unavailable(request: Request) -> NoReturn:
    raise HTTPException(int(request.path_params["status"]), "not now")


async def background(request: Request) -> Response:
    async def work() -> None:
        await asyncio.sleep(PAUSE_SECONDS * 10)
        windsock.get_metrics_collector().record_quality("afterwards", 5)

    return PlainTextResponse("at once", background=BackgroundTask(work))


async def raw(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("raw")(scope, receive, send)


routes = [
    Route("/livez", ask),
    Route("/ask/{gap:int}", ask, methods=["POST"]),
    Route("/stream", stream),
    Route("/events", events),
    Route("/endless", endless),
    Route("/fail", fail),
    Route("/fail-midway", fail_midway),
    Route("/status/{status}", unavailable),
    Route("/background", background),
    Mount("/raw", app=raw),
    Mount("/tenants/{tenant}", routes=[Mount("/v1", routes=[Route("/ask/{gap}", ask)])]),
    Host("other.example", Starlette(routes=[Route("/other", ask)])),
]


def application(**options: Any) -> Starlette:
    return Starlette(routes=routes, middleware=[Middleware(WindsockMiddleware, **options)])


@pytest.fixture
async def client() -> AsyncGenerator[httpx.AsyncClient]:
    async with (
        serving(application()) as address,
        httpx.AsyncClient(base_url=address, timeout=10) as client,
    ):
        yield client


async def recorded(captured: Captured, operation: str, count: int = 1) -> list[dict[str, Any]]:
    """Return the events that have ``operation`` in their name; they may come after the answer."""
    found: list[dict[str, Any]] = []
    for _ in range(500):
        found = [event for event in captured.events if operation in event["operation"]]
        if len(found) >= count:
            break
        await asyncio.sleep(0.01)
    assert len(found) == count
    return found


async def requests_of(captured: Captured, count: int = 1) -> list[dict[str, Any]]:
    return await recorded(captured, " ", count)


@pytest.mark.parametrize(
    ("method", "path", "operation", "status"),
    [
        ("POST", "/ask/7", "POST /ask/{gap:int}", 200),
        ("GET", "/ask/7", "GET /ask/{gap:int}", 405),
        ("GET", "/tenants/acme/v1/ask/7", "GET /tenants/{tenant}/v1/ask/{gap}", 200),
        ("POST", "/tenants/acme/v1/ask/7", "POST /tenants/{tenant}/v1/ask/{gap}", 405),
        ("GET", "/tenants/acme/v1/other", "GET unmatched", 404),
        ("GET", "/raw/some/file", "GET /raw", 200),
        ("GET", "/no/such/path", "GET unmatched", 404),
        ("GET", "/stream/", "GET unmatched", 307),
        ("PROPFIND", "/no/such/path", "_OTHER unmatched", 404),
    ],
)
async def test_a_request_is_named_by_method_and_template(
    client: httpx.AsyncClient,
    captured: Captured,
    method: str,
    path: str,
    operation: str,
    status: int,
) -> None:
    response = await client.request(method, path)

    [event] = await requests_of(captured)
    assert response.status_code == status
    assert event["operation"] == operation
    assert event["attributes"]["http_status"] == status
    assert event.get("status", "ok") == "ok"


async def test_a_route_of_a_host_is_found(client: httpx.AsyncClient, captured: Captured) -> None:
    response = await client.get("/other", headers={"host": "other.example"})

    [event] = await requests_of(captured)
    assert response.status_code == 200
    assert event["operation"] == "GET /other"


async def test_all_that_a_request_records_carries_its_user(
    client: httpx.AsyncClient, captured: Captured
) -> None:
    unit = {"user_id": "u-7", "session_id": "s" * 199 + "…"}

    response = await client.post(
        "/ask/7", headers={"X-User-Id": "u-7", "x-session-id": "s" * 5_000}
    )

    [request] = await requests_of(captured)
    node = captured.events[0]
    assert response.json() == {"operation": "POST /ask/{gap:int}", "gap": 7}
    assert {name: node[name] for name in unit} == unit
    assert {name: request[name] for name in unit} == unit
    assert (node["operation"], node["gap_priority"]) == ("answer", "HIGH")
    assert "gap_priority" not in request


async def test_probes_are_left_alone(client: httpx.AsyncClient, captured: Captured) -> None:
    response = await client.get("/livez", headers={"X-User-Id": "u-7"})

    assert response.json() == {"operation": None}
    assert [event["operation"] for event in captured.events] == ["answer"]
    assert "user_id" not in captured.events[0]


@pytest.mark.parametrize("path", ["/stream", "/events"])
async def test_a_stream_lasts_until_its_last_byte(
    client: httpx.AsyncClient, captured: Captured, path: str
) -> None:
    response = await client.get(path)

    [event] = await requests_of(captured)
    first_byte_ms = event["attributes"]["time_to_first_byte_ms"]
    assert "two" in response.text
    # The clock of sleeping and that of measuring differ by a little.
    assert first_byte_ms >= PAUSE_SECONDS * 1e3 * 0.9
    assert event["duration_ms"] - first_byte_ms >= PAUSE_SECONDS * 1e3 * 0.9


async def test_background_work_is_no_part_of_the_request(
    client: httpx.AsyncClient, captured: Captured
) -> None:
    await client.get("/background", headers={"X-User-Id": "u-7"})

    [event] = await requests_of(captured)
    assert event["duration_ms"] < PAUSE_SECONDS * 10 * 1e3
    [afterwards] = await recorded(captured, "afterwards")
    assert afterwards["user_id"] == "u-7"


async def test_an_exception_is_an_error_with_its_type(
    client: httpx.AsyncClient, captured: Captured
) -> None:
    response = await client.get("/fail", headers={"X-User-Id": "u-7"})

    [event] = await requests_of(captured)
    assert response.status_code == 500
    assert (event["status"], event["error_type"], event["error_message"]) == (
        "error",
        "LookupError",
        "no such gap",
    )
    assert "test_asgi.py" in event["error_context"]["where"]
    assert event["attributes"] == {"http_status": 500}
    assert event["user_id"] == "u-7"


async def test_an_exception_in_the_middle_of_a_stream_is_an_error(
    client: httpx.AsyncClient, captured: Captured
) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get("/fail-midway")

    [event] = await requests_of(captured)
    assert (event["status"], event["error_type"]) == ("error", "LookupError")
    assert event["attributes"]["http_status"] == 200
    assert event["attributes"]["time_to_first_byte_ms"] > 0


@pytest.mark.parametrize(
    ("status", "error_type"), [(503, "HTTP 503"), (500, "HTTP 500"), (429, None), (404, None)]
)
async def test_a_status_from_500_on_is_an_error(
    client: httpx.AsyncClient, captured: Captured, status: int, error_type: str | None
) -> None:
    await client.get(f"/status/{status}")

    [event] = await requests_of(captured)
    assert event["operation"] == "GET /status/{status}"
    assert (event["status"], event.get("error_type")) == (
        "error" if error_type else "ok",
        error_type,
    )


async def test_a_client_that_leaves_is_no_error(
    client: httpx.AsyncClient, captured: Captured
) -> None:
    url = urlsplit(str(client.base_url))
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"x" * 1_000)
    writer.close()

    [event] = await requests_of(captured)

    assert event["status"] == "ok"
    assert event["attributes"]["client_disconnected"] is True
    assert event["attributes"]["http_status"] == 200


async def test_identify_wins_over_the_headers(captured: Captured) -> None:
    def identify(scope: MutableMapping[str, Any]) -> dict[str, object] | None:
        query = scope["query_string"]
        return (
            {"session_id": query.decode(), "gap_priority": "LOW", "plan": "pro"} if query else None
        )

    app = application(identify=identify)
    async with serving(app) as address, httpx.AsyncClient(base_url=address) as client:
        for path in ("/stream?s-1", "/stream"):
            await client.get(path, headers={"X-User-Id": "u-2", "X-Session-Id": "s-2"})

    first, second = await requests_of(captured, 2)
    assert (first["user_id"], first["session_id"]) == ("u-2", "s-1")
    assert (first["gap_priority"], first["attributes"]["plan"]) == ("LOW", "pro")
    assert (second["user_id"], second["session_id"]) == ("u-2", "s-2")


async def test_a_header_may_have_another_name_or_none(captured: Captured) -> None:
    app = application(user_header="X-Account", session_header=None)
    async with serving(app) as address, httpx.AsyncClient(base_url=address) as client:
        await client.get("/stream", headers={"X-Account": "a-1", "X-Session-Id": "s-1"})

    [event] = await requests_of(captured)
    assert event["user_id"] == "a-1"
    assert "session_id" not in event


async def test_the_application_may_name_its_requests(captured: Captured) -> None:
    app = application(
        operation=lambda scope: "streaming" if scope["path"] == "/stream" else None,
    )
    async with serving(app) as address, httpx.AsyncClient(base_url=address) as client:
        await client.get("/stream")
        await client.get("/fail")

    named = [event["operation"] for event in captured.events]
    assert named == ["streaming", "GET /fail"]


async def test_callbacks_that_raise_do_not_hurt_the_request(
    captured: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(scope: MutableMapping[str, Any]) -> NoReturn:
        raise KeyError("session")

    app = application(identify=broken, operation=broken)
    with caplog.at_level(logging.WARNING, "windsock"):
        async with serving(app) as address, httpx.AsyncClient(base_url=address) as client:
            response = await client.get("/stream", headers={"X-User-Id": "u-2"})

    [event] = await requests_of(captured)
    assert response.status_code == 200
    assert (event["operation"], event["user_id"]) == ("GET /stream", "u-2")
    [warning] = [record for record in caplog.records if record.name == "windsock"]
    assert "broken" in warning.getMessage()


async def test_it_may_stand_around_an_application_and_its_lifespan(captured: Captured) -> None:
    entered = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[dict[str, str]]:
        entered.append("in")
        yield {"greeting": "hello"}
        entered.append("out")

    async def greet(request: Request) -> Response:
        return PlainTextResponse(request.state.greeting)

    inner = Starlette(routes=[Route("/greet/{name}", greet)], lifespan=lifespan)
    app = WindsockMiddleware(GZipMiddleware(inner))
    async with serving(app) as address, httpx.AsyncClient(base_url=address) as client:
        response = await client.get("/greet/you")

    assert response.text == "hello"
    assert entered == ["in", "out"]
    assert [event["operation"] for event in captured.events] == ["GET /greet/{name}"]


async def test_it_may_stand_around_an_application_that_is_mounted(captured: Captured) -> None:
    inner = WindsockMiddleware(Starlette(routes=[Route("/ask/{gap}", ask)]))
    outer = Starlette(routes=[Mount("/inner", app=inner)])
    async with serving(outer) as address, httpx.AsyncClient(base_url=address) as client:
        await client.get("/inner/ask/7")

    [event] = await requests_of(captured)
    assert event["operation"] == "GET /ask/{gap}"


async def test_a_stream_that_fails_after_its_200_is_an_error(captured: Captured) -> None:
    async def parts(request: Request) -> AsyncGenerator[str]:
        yield "one"
        mark_failed(request.scope, "provider_error", "the provider went away")
        yield "failure"

    async def failing(request: Request) -> Response:
        return StreamingResponse(parts(request))

    inner = Starlette(routes=[Route("/stream", failing)])
    app = Starlette(
        routes=[Mount("/inner", app=inner)], middleware=[Middleware(WindsockMiddleware)]
    )
    async with serving(app) as address, httpx.AsyncClient(base_url=address) as client:
        assert (await client.get("/inner/stream")).status_code == 200

    [event] = await requests_of(captured)
    assert (event["operation"], event["status"]) == ("GET /inner/stream", "error")
    assert event["error_type"] == "provider_error"
    assert event["error_message"] == "the provider went away"
    assert event["attributes"]["http_status"] == 200


def test_marking_a_request_that_nobody_records_does_nothing() -> None:
    scope: dict[str, Any] = {"type": "http"}

    mark_failed(scope, "provider_error")

    assert scope == {"type": "http"}
