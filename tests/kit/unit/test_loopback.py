import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from windsock_kit.health import livez
from windsock_kit.loopback import LoopbackGuard, require_loopback
from windsock_kit.testing import running

app = Starlette(
    routes=[Route("/livez", livez, methods=["GET", "POST"])], middleware=[Middleware(LoopbackGuard)]
)


async def status_with(**headers: str) -> int:
    async with running(app) as client:
        return (await client.post("/livez", headers=headers)).status_code


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8001", "127.0.0.1:8000", "[::1]", "[::1]:8001"]
)
async def test_loopback_host_is_served(host: str) -> None:
    assert await status_with(host=host) == 200


@pytest.mark.parametrize(
    "host",
    [
        "windsock.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example:8001",
        "10.0.0.1",
        "localhost:80:80",
        "localhost:",
        "",
    ],
)
async def test_other_host_is_refused(host: str) -> None:
    assert await status_with(host=host) == 403


@pytest.mark.parametrize(
    ("origin", "path", "status"),
    [
        ("https://shop.example", "/open/flags", 200),
        ("https://SHOP.example", "/open/flags", 200),
        ("https://shop.example", "/closed", 403),
        ("http://shop.example", "/open/flags", 403),
        ("https://shop.example.evil.example", "/open/flags", 403),
        ("http://localhost", "/closed", 200),
    ],
)
async def test_a_known_page_elsewhere_may_call_what_is_meant_for_it(
    origin: str, path: str, status: int
) -> None:
    guard = Middleware(LoopbackGuard, origins=["https://shop.example"], below="/open/")
    routes = [Route("/open/flags", livez), Route("/closed", livez)]
    async with running(Starlette(routes=routes, middleware=[guard])) as client:
        assert (await client.get(path, headers={"origin": origin})).status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:8000", 200),
        ("https://127.0.0.1", 200),
        ("http://[::1]:5173", 200),
        ("http://evil.example", 403),
        ("http://localhost.evil.example", 403),
        ("http://localhost@evil.example", 403),
        ("null", 403),
        ("file://", 403),
    ],
)
async def test_origin_must_be_of_this_machine(origin: str, status: int) -> None:
    assert await status_with(origin=origin) == status


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_bind_is_allowed(host: str) -> None:
    require_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "example.com", ""])
def test_other_bind_ends_with_one_line(host: str) -> None:
    with pytest.raises(SystemExit, match=r"refusing to listen on .* without authentication"):
        require_loopback(host)
