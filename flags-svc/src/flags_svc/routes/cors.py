"""What pages of other addresses may do here: ask for flags, and hear of changes.

Whether a page may ask at all is decided before, by the guard; here its browser is told.
"""

from __future__ import annotations

import re
from typing import Final

from starlette.types import Send

PREFLIGHT: Final = "OPTIONS"
_ORIGIN: Final = re.compile(r"https?://[^/\s,@?#]+", re.IGNORECASE)

_VARY = (b"vary", b"Origin")
_EXPOSE = (b"access-control-expose-headers", b"ETag, Retry-After, X-Request-ID")
_ALLOW = [
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (
        b"access-control-allow-headers",
        b"Authorization, Content-Type, If-None-Match, X-API-Key, X-Request-ID, X-Windsock-Environment",
    ),
    (b"access-control-max-age", b"7200"),
]


def origins(text: str) -> frozenset[str]:
    """Read addresses of pages, such as ``https://shop.example``, with commas between them; raises ``ValueError``."""
    found = [each.strip().rstrip("/") for each in text.split(",")]
    wrong = [each for each in found if each and not _ORIGIN.fullmatch(each)]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is no origin, such as https://shop.example")
    return frozenset(each.lower() for each in found if each)


def allowing(origin: bytes) -> list[tuple[bytes, bytes]]:
    """Return the headers with which a page of ``origin`` may read the answer."""
    return [(b"access-control-allow-origin", origin), _EXPOSE, _VARY]


async def preflight(headers: dict[bytes, bytes], send: Send) -> None:
    """Answer what a browser asks before it sends a page's request."""
    told = [*_ALLOW, *allowing(headers[b"origin"])] if b"origin" in headers else []
    await send({"type": "http.response.start", "status": 204, "headers": told})
    await send({"type": "http.response.body", "body": b""})
