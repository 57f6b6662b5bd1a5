"""An API's contract and a page to read it, from this host alone."""

import hashlib
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from swagger_ui_bundle import swagger_ui_path  # type: ignore[import-untyped]

from windsock_kit.errors import NotFoundError

_ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="page"><noscript>The contract itself: <a href="openapi.yaml">openapi.yaml</a></noscript></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({
  url: new URL("openapi.yaml", document.location.href).href,
  dom_id: "#page",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  queryConfigEnabled: false,
});
"""


def routes(prefix: str, contract: bytes, *, title: str) -> list[Route]:
    """Return the routes of ``<prefix>/openapi.yaml`` and of the page ``<prefix>/docs``.

    ``contract`` is an OpenAPI 3.1 document in YAML. Nothing is fetched from another host, and the
    page's policy allows no script but its own files.
    """
    tag = f'"{hashlib.sha256(contract).hexdigest()[:32]}"'
    page = _PAGE.format(title=escape(title))

    async def openapi(request: Request[Any]) -> Response:
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(contract, headers=headers, media_type="application/yaml")

    async def docs(_: Request[Any]) -> Response:
        headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
        return Response(page, headers=headers, media_type="text/html")

    return [
        Route(f"{prefix}/openapi.yaml", openapi),
        Route(f"{prefix}/docs", docs),
        Route(f"{prefix}/docs/{{name}}", _asset),
    ]


async def _asset(request: Request[Any]) -> Response:
    name = request.path_params["name"]
    if name == "start.js":
        return Response(_START, media_type="text/javascript")
    if name not in _ASSETS:
        raise NotFoundError(f"no file {name!r} here")
    return FileResponse(
        swagger_ui_path / name,
        media_type=_ASSETS[name],
        headers={"Cache-Control": "public, max-age=86400", "X-Content-Type-Options": "nosniff"},
    )
