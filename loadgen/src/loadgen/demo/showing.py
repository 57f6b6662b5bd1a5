"""Commands that show each part of the story in the suite's answers."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from loadgen.demo.story import HOUR, Chapters
from loadgen.report import curl, dashboard_address

_DAY_SECONDS, _HOUR_SECONDS = 86_400, 3_600
_TEN_MINUTES_SECONDS = 600
_FLAG = "use_prompt_cache_optimizer"
_WRITING = "generate_question"

Query = Mapping[str, Any]


def commands(endpoint: str, told: Chapters, *, now: datetime, needs_key: bool) -> Iterator[str]:
    """Yield lines of text, and a curl command below each."""
    begin = f"  {curl(needs_key=needs_key)}"
    glance = dashboard_address(endpoint, first=told.begins.isoformat(), now=now, filters={})
    yield "All of it at a glance:"
    yield f"{begin} '{glance}'"
    address = f"{endpoint.rstrip('/')}/api/metrics/query"
    for title, body in questions(told).items():
        yield f"{title}:"
        text = msgspec.json.encode(body).decode()
        yield f"{begin} {address} -H 'Content-Type: application/json' -d '{text}'"


def questions(told: Chapters) -> dict[str, Query]:
    """Return what to ask the suite about each part of the story, by its title."""
    step = _DAY_SECONDS if told.days > 2 else _HOUR_SECONDS
    return {
        f"{told.deployment:%A %d %B, %H:%M} UTC, a new version: questions cost more and come quicker": {
            "from": told.begins,
            "step_seconds": step,
            "queries": [
                _query("llm_call.cost_usd", "avg", filters={"operation": _WRITING}),
                _query("llm_call.duration_ms", "p50", filters={"operation": _WRITING}),
            ],
        },
        f"{told.trouble:%A %d %B, %H:%M} UTC, an hour of trouble: what fails, and how slow": {
            "from": told.trouble - HOUR,
            "to": told.trouble + 2 * HOUR,
            "step_seconds": _TEN_MINUTES_SECONDS,
            "queries": [
                _query("performance.errors", "ratio", denominator="performance.count"),
                _query("llm_call.errors", "sum", group_by=["error_type"]),
                _query("llm_call.duration_ms", "p95"),
            ],
        },
        "A slow drift: the score slips, the first cache layer hits less": {
            "from": told.begins,
            "step_seconds": step,
            "queries": [
                _query("quality.score", "avg"),
                _query(
                    "cache.hits",
                    "ratio",
                    denominator="cache.count",
                    filters={"layer": "l1", "operation": "batch_generate"},
                ),
            ],
        },
        "The effect of a flag, on for half of the users: cost, time and quality with it and without": {
            "from": told.begins,
            "queries": [
                _by_variant("llm_call.cost_usd", "avg", operation=_WRITING),
                _by_variant("llm_call.duration_ms", "p50", operation=_WRITING),
                _by_variant("quality.score", "avg"),
            ],
        },
    }


def _by_variant(measure: str, aggregation: str, **filters: str) -> Query:
    filters = {"flag_key": _FLAG, **filters}
    return _query(measure, aggregation, group_by=["variant"], filters=filters)


def _query(measure: str, aggregation: str, **more: Any) -> Query:
    return {"measure": measure, "aggregation": aggregation, **more}
