"""The plumbing behind a real server, spoken to over sockets."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import pytest_asyncio
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from windsock_kit import responses
from windsock_kit.body import read_body
from windsock_kit.errors import exception_handlers
from windsock_kit.exposition import make_registry
from windsock_kit.middleware import standard
from windsock_kit.serve import MAX_HEAD_BYTES
from windsock_kit.testing import serving

LIMIT = 100_000


async def measure(request: Request) -> Response:
    body = await read_body(request, max_bytes=LIMIT, max_decompressed_bytes=LIMIT)
    return responses.json({"bytes": len(body)})


@pytest_asyncio.fixture(scope="module")
async def url() -> AsyncGenerator[str]:
    app = Starlette(
        routes=[Route("/measure", measure, methods=["POST"])],
        middleware=standard(make_registry()),
        exception_handlers=exception_handlers,
    )
    async with serving(app) as address:
        yield address


@pytest_asyncio.fixture
async def client(url: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url) as client:
        yield client


async def talk(url: str, *parts: bytes) -> bytes:
    """Send ``parts`` as they are and return all that comes back until the server hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    async with asyncio.timeout(10):
        for part in parts:
            writer.write(part)
            await writer.drain()
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_server_does_not_say_what_it_is(client: httpx.AsyncClient) -> None:
    response = await client.post("/measure", content=b"x")

    assert response.json() == {"bytes": 1}
    assert "server" not in response.headers


async def test_body_in_chunks_is_counted(client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(LIMIT // 1000 + 1):
            yield bytes(1000)

    response = await client.post("/measure", content=endless())

    assert response.status_code == 413
    assert response.json()["max_bytes"] == LIMIT


async def test_connection_serves_on_after_a_body_that_was_refused(
    client: httpx.AsyncClient,
) -> None:
    refused = await client.post("/measure", content=bytes(20 * LIMIT))
    after = await client.post("/measure", content=b"xyz")

    assert refused.status_code == 413
    assert after.json() == {"bytes": 3}


async def test_head_that_does_not_end_is_cut_off(url: str) -> None:
    line = b"x-filler: " + b"a" * 1000 + b"\r\n"

    answer = await talk(
        url,
        b"POST /measure HTTP/1.1\r\nhost: localhost\r\n",
        *[line] * (MAX_HEAD_BYTES // len(line) + 1),
    )

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert str(MAX_HEAD_BYTES).encode() in answer


async def test_body_longer_than_a_head_may_be_is_fine(url: str) -> None:
    size = MAX_HEAD_BYTES + 10_000
    head = f"POST /measure HTTP/1.1\r\nhost: localhost\r\ncontent-length: {size}\r\n".encode()
    last = head + b"connection: close\r\n\r\n"

    answer = await talk(url, head + b"\r\n", bytes(size), last, bytes(size))

    assert answer.count(b"HTTP/1.1 200 ") == 2


async def test_client_that_leaves_midway_is_no_bug(url: str) -> None:
    with structlog.testing.capture_logs() as logged:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"POST /measure HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nabc")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        async with asyncio.timeout(10):
            while not logged:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    assert [(line["event"], line["status"]) for line in logged] == [("request", 499)]
    assert reader.at_eof()


async def test_application_that_does_not_start_is_told_to_the_test() -> None:
    def refuse() -> None:
        raise LookupError("no settings")

    @asynccontextmanager
    async def broken(_: Starlette) -> AsyncGenerator[None]:
        refuse()
        yield

    with pytest.raises(RuntimeError, match="did not start"):
        async with serving(Starlette(lifespan=broken)):
            pass
