"""metrics-svc as a process of its own, and its answers as exact numbers."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import msgspec

from tests.adaptive_questions.processes import Process

DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Suite:
    """A metrics service to send to; there is no gateway before it."""

    url: str

    def get(self, path: str, **parameters: str | int) -> Any:
        """Return what is answered; numbers that are no integers stay exact decimals."""
        return _decoded(httpx.get(f"{self.url}/api/metrics/{path}", params=parameters))

    def put(self, path: str, body: Mapping[str, object]) -> Any:
        return _decoded(httpx.put(f"{self.url}/api/metrics/{path}", json=body))

    def post(self, path: str, body: object) -> Any:
        return _decoded(
            httpx.post(f"{self.url}/api/metrics/{path}", content=msgspec.json.encode(body))
        )

    def total(self, measure: str) -> int:
        """Return the sum of a counter over all time that the suite takes events of."""
        query = {"measure": measure, "aggregation": "sum"}
        begin = datetime.now(UTC) - timedelta(days=32)
        answer = self.post("query", {"from": begin, "queries": [query]})
        return int(answer["queries"][0]["series"][0]["value"])


def _decoded(answer: httpx.Response) -> Any:
    assert answer.is_success, answer.text
    return json.loads(answer.content, parse_float=Decimal)


@asynccontextmanager
async def running_suite(
    database_url: str, folder: Path, *, max_age_days: int
) -> AsyncGenerator[Suite]:
    environment = {
        "METRICS_DATABASE_URL": database_url,
        "METRICS_MAX_EVENT_AGE_SECONDS": str(max_age_days * DAY_SECONDS),
        "METRICS_LOG_LEVEL": "warning",
        "WINDSOCK_AUTH": "off",
    }
    process = Process("metrics_svc", "METRICS", folder, environment)
    try:
        await process.start()
        yield Suite(process.url)
    finally:
        process.kill()
