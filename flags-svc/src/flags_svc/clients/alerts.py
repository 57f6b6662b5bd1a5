"""The client of alerts-svc, which tells of changes beside the alerts of that time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import aiohttp
import orjson

from flags_svc.domain.telling import Telling

TIMEOUT_SECONDS: Final = 5.0
# What is wrong with the change itself; sending it again changes nothing.
_REFUSED = frozenset({400, 409, 413, 422})
_TOLD_BYTES = 500


class RefusedError(Exception):
    """It will never be taken."""


class AwayError(Exception):
    """It was not taken; it will be, some other time."""


class AlertsClient:
    """Tells alerts-svc of changes."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = f"{url}/api/alerts/changes"

    async def tell(self, telling: Telling) -> None:
        """Tell of a change; it may have been told before. Raises ``RefusedError`` and ``AwayError``."""
        body = {
            "id": telling.id,
            "kind": telling.kind,
            "name": telling.name,
            "description": telling.description,
            "author": telling.author,
            "at": datetime.fromtimestamp(telling.at, UTC).isoformat(),
        }
        try:
            async with self._session.post(
                self._url, data=orjson.dumps(body), headers={"Content-Type": "application/json"}
            ) as answer:
                if answer.ok:
                    return
                said = (await answer.content.read(_TOLD_BYTES)).decode(errors="replace")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise AwayError(type(error).__name__) from error
        if answer.status in _REFUSED:
            raise RefusedError(f"{answer.status}: {said}")
        raise AwayError(str(answer.status))


@asynccontextmanager
async def open_alerts(
    url: str, *, timeout_seconds: float = TIMEOUT_SECONDS
) -> AsyncGenerator[AlertsClient]:
    """Open a client for the block."""
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    async with aiohttp.ClientSession(
        timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield AlertsClient(session, url)
