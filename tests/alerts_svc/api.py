"""alerts-svc with metrics-svc behind it, for tests of the API; its messages are recorded in place of being sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.alerts_svc.services import Recorder, alerts_service


@dataclass(frozen=True, slots=True)
class Api:
    """A client, and what the service would have sent."""

    client: httpx.AsyncClient
    sent: Recorder

    async def until(
        self, ask: Callable[[], Awaitable[Any]], wanted: Callable[[Any], bool], seconds: float = 20
    ) -> Any:
        """Ask again until the answer is as wanted."""
        async with asyncio.timeout(seconds):
            while True:
                answer = await ask()
                if wanted(answer):
                    return answer
                await asyncio.sleep(0.05)

    async def get(self, path: str, **params: Any) -> Any:
        """Return the body of an answer that must be right."""
        answer = await self.client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def firing(self, name: str, **labels: str) -> dict[str, Any]:
        """Post an alert from elsewhere, and return it as listed once it has fired."""
        posted = [{"labels": {"alertname": name, **labels}}]
        answer = await self.client.post("/api/v2/alerts", json=posted)
        assert answer.status_code == 200, answer.text

        def there(body: Any) -> bool:
            return any(each["labels"]["alertname"] == name for each in body["alerts"])

        body = await self.until(lambda: self.get("/api/alerts", limit=1000), there)
        found: dict[str, Any] = next(
            each for each in body["alerts"] if each["labels"]["alertname"] == name
        )
        return found


@asynccontextmanager
async def running_api(database_url: str, metrics_url: str) -> AsyncGenerator[Api]:
    """Run the service; once it is yielded, what it begins with is in the store."""
    recorder = Recorder()
    async with alerts_service(
        database_url,
        metrics_url,
        recorder.parts(),
        evaluation_interval_seconds=0.5,
        evaluation_gap_seconds=0.1,
        allowed_targets="127.0.0.1",
    ) as client:
        api = Api(client, recorder)
        await api.until(
            lambda: api.get("/api/alerts/summary"), lambda body: body["acting"]["this_process"]
        )
        yield api
