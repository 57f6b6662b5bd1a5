"""The real service on a database of its own, for tests of the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from flags_svc.app import create_app
from flags_svc.settings import Settings
from windsock_kit.testing import running

FLAGS = "/api/feature-flags"


@dataclass(frozen=True, slots=True)
class Api:
    """A client of the service."""

    client: httpx.AsyncClient

    async def do(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Return the body of an answer to ``path`` below the service's prefix, which must have this status."""
        given: dict[str, Any] = {} if body is None else {"json": body}
        answer = await self.client.request(method, FLAGS + path, headers=headers, **given)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def get(self, path: str, **params: Any) -> Any:
        """Return the body of an answer that must be right."""
        answer = await self.client.get(FLAGS + path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def make(self, key: str, **fields: Any) -> Any:
        """Make a flag, a boolean one unless said otherwise."""
        return await self.do("POST", "", {"key": key, "type": "boolean", **fields}, status=201)

    async def gives(self, key: str, user: str = "ada", **context: Any) -> Any:
        """Return the variant that a flag gives in production."""
        found = await self.do("POST", f"/{key}/evaluate", {"user_id": user, "context": context})
        return found["variant"]

    async def until(
        self, ask: Callable[[], Awaitable[Any]], wanted: Callable[[Any], bool], seconds: float = 20
    ) -> Any:
        """Ask again until the answer is as wanted."""
        async with asyncio.timeout(seconds):
            while True:
                answer = await ask()
                if wanted(answer):
                    return answer
                await asyncio.sleep(0.02)


@asynccontextmanager
async def running_api(database_url: str, **settings: Any) -> AsyncGenerator[Api]:
    """Run the service; once it is yielded, its first flags are there."""
    async with running(create_app(Settings(database_url, **settings))) as client:
        api = Api(client)
        await api.until(lambda: client.get("/readyz"), lambda answer: answer.status_code == 200)
        yield api
