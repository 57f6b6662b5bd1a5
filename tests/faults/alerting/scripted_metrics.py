"""A metrics-svc that says what the test wants: real HTTP, values of the test's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from windsock_kit.responses import json
from windsock_kit.testing import serving

Dimensions = frozenset[tuple[str, str]]


@dataclass
class ScriptedMetrics:
    """Answers ``POST /api/metrics/query``.

    ``status`` other than 200 is answered instead, ``body`` is sent in place of what would be right, and ``delay`` comes
    before either. ``replaced`` are bytes of a right answer and what is sent for them. ``asked`` counts requests.
    """

    url: str = ""
    status: int = 200
    body: bytes | None = None
    delay: float = 0.0
    asked: int = 0
    replaced: Mapping[bytes, bytes] = field(default_factory=dict)
    _values: dict[tuple[str, Dimensions], tuple[Any, Any]] = field(default_factory=dict)

    def set(self, measure: str, value: Any, *, samples: Any = 100, **dimensions: str) -> None:
        """Say what a measure is, for one set of dimensions; of a ratio it is what stands above the line.

        Of an iterator each answer takes the next value.
        """
        self._values[measure, frozenset(dimensions.items())] = (value, samples)

    def forget(self, measure: str, **dimensions: str) -> None:
        """Say nothing any more."""
        self._values.pop((measure, frozenset(dimensions.items())), None)

    async def answer(self, request: Request) -> Response:
        self.asked += 1
        asked = orjson.loads(await request.body())
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.status != 200:
            return json({"code": "unavailable", "detail": "as told"}, self.status)
        if self.body is not None:
            return Response(self.body, media_type="application/json")
        told = orjson.dumps({"queries": [self._answered(query) for query in asked["queries"]]})
        for right, wrong in self.replaced.items():
            told = told.replace(right, wrong)
        return Response(told, media_type="application/json")

    def _answered(self, query: Mapping[str, Any]) -> dict[str, Any]:
        series = [
            {
                "group": {name: dict(dimensions).get(name) for name in query["group_by"]},
                "value": next(value) if isinstance(value, Iterator) else value,
                "samples": samples,
            }
            for (measure, dimensions), (value, samples) in self._values.items()
            if measure == query["measure"] and _passes(dict(dimensions), query.get("filters", {}))
        ]
        return {"measure": query["measure"], "aggregation": query["aggregation"], "series": series}


def _passes(dimensions: Mapping[str, str], filters: Mapping[str, Any]) -> bool:
    return all(
        dimensions.get(name) in (wanted if isinstance(wanted, list) else [wanted])
        for name, wanted in filters.items()
    )


@asynccontextmanager
async def scripted_metrics() -> AsyncGenerator[ScriptedMetrics]:
    """Serve for the block; without values nothing is known of anything."""
    made = ScriptedMetrics()
    app = Starlette(routes=[Route("/api/metrics/query", made.answer, methods=["POST"])])
    async with serving(app) as url:
        made.url = url
        yield made
