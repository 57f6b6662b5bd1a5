import re

import httpx
import pytest
from starlette.applications import Starlette

from windsock_kit import documentation
from windsock_kit.errors import exception_handlers
from windsock_kit.testing import running

CONTRACT = b"openapi: 3.1.0\ninfo: {title: Demo, version: '1'}\npaths: {}\n"
app = Starlette(
    routes=documentation.routes("/api/demo", CONTRACT, title="Demo & co"),
    exception_handlers=exception_handlers,
)


async def get(path: str, **headers: str) -> httpx.Response:
    async with running(app) as client:
        return await client.get(path, headers=headers)


async def test_contract_is_served_byte_for_byte() -> None:
    response = await get("/api/demo/openapi.yaml")

    assert response.content == CONTRACT
    assert response.headers["content-type"].startswith("application/yaml")


async def test_known_contract_is_not_sent_again() -> None:
    first = await get("/api/demo/openapi.yaml")

    again = await get("/api/demo/openapi.yaml", **{"If-None-Match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")


async def test_page_needs_no_other_host_and_no_inline_script() -> None:
    response = await get("/api/demo/docs")

    assert "<title>Demo &amp; co</title>" in response.text
    assert "//" not in response.text
    assert re.findall(r"<script[^>]*>(.+?)</script>", response.text) == []
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
    assert "unsafe" not in policy


async def test_everything_that_the_page_names_is_there() -> None:
    page = await get("/api/demo/docs")

    names = re.findall(r'(?:src|href)="([^"]+)"', page.text)

    assert len(names) == 5
    for name in names:
        assert (await get(f"/api/demo/{name}")).status_code == 200, name


async def test_viewer_reads_openapi_31() -> None:
    script = await get("/api/demo/docs/swagger-ui-bundle.js")

    assert "OpenAPI31" in script.text or "openapi-3-1" in script.text


@pytest.mark.parametrize("name", ["swagger-ui.js", "..%2f__init__.py", "index.html"])
async def test_other_files_of_the_package_are_not_served(name: str) -> None:
    assert (await get(f"/api/demo/docs/{name}")).status_code == 404
