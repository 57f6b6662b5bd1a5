"""The read endpoints: each asks the engine a few questions about one window and tells the answers."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metrics_svc.domain.health import overall
from metrics_svc.domain.kind import CACHE, LLM_CALL, PERFORMANCE, QUALITY
from metrics_svc.domain.summary import Summary
from metrics_svc.domain.window import Window
from metrics_svc.engine import Ask
from metrics_svc.state import State
from metrics_svc.wire import answers
from metrics_svc.wire.answers import Answer
from metrics_svc.wire.parameters import WindowRequest, window_request
from windsock_kit.postgres import unavailable
from windsock_kit.responses import json

_TOP = 10


class _Reading:
    """One request's window, and the questions that it asks about it."""

    def __init__(self, request: Request[State]) -> None:
        self._state = request.state
        self.asked: WindowRequest = window_request(request.query_params)
        self._now = self._state["clock"]()
        self.window = self.asked.window(self._now, self._state["kept"])

    async def ask(self, *asks: Ask, stepped: bool = True) -> list[Summary]:
        """Answer ``asks`` under the request's filters."""
        window = self.window if stepped else Window(self.window.start, self.window.end)
        filters = self.asked.filter()
        with unavailable("the store cannot answer now"):
            return await self._state["engine"].ask(
                window,
                [Ask(a.kind, a.group_by, filters, a.histogram, a.stepped) for a in asks],
            )

    def answer(self, content: Answer) -> Response:
        """Render ``content`` behind the common head."""
        return json(
            answers.head(self.asked, self.window, self._now, self._state["engine"].notes())
            | content
        )

    def health(self) -> Answer:
        """Return the latest probes; the store answers, or this answer would not be."""
        results = self._state["probes"].latest()
        lag = self._state["ingest"].lag_seconds()
        return {
            "status": overall(results, store_up=True, lag_seconds=lag),
            "components": [
                {"target": r.target, "status": r.status, "latency_ms": r.latency_ms}
                for r in results
            ],
        }

    def series(self, points: list[Answer]) -> Answer:
        """Return points of time as they stand in an answer."""
        return {"step_seconds": self.window.step, "points": points}


async def dashboard(request: Request[State]) -> Response:
    """Answer the few numbers that tell how everything is."""
    reading = _Reading(request)
    speed, calls, judged, lookups = await reading.ask(
        Ask(PERFORMANCE, ("operation",), histogram=True),
        Ask(LLM_CALL),
        Ask(QUALITY),
        Ask(CACHE, ("layer",)),
        stepped=False,
    )
    cost = answers.costs_of(calls)[0]
    return reading.answer(
        {
            "relative_error": answers.ERROR,
            "performance": {
                "all_operations": answers.latencies(speed.regroup(()))[0],
                "top_operations": answers.by("operation", speed, answers.latencies(speed))[:_TOP],
            },
            "costs": {
                "total_cost_usd": cost["cost_usd"],
                "calls": cost["calls"],
                "unpriced_calls": cost["unpriced_calls"],
                "cache_hit_rate_percent": cost["cache_hit_rate_percent"],
                **answers.projections(cost["cost_usd"], reading.asked.minutes),
            },
            "quality": answers.quality_of(judged)[0],
            "cache": {"layers": answers.layers(lookups)},
            "health": reading.health(),
        }
    )


async def performance(request: Request[State]) -> Response:
    """Answer latency and errors by operation, gap priority, error type and time."""
    reading = _Reading(request)
    speed, failures, over_time = await reading.ask(
        Ask(PERFORMANCE, ("operation", "gap_priority"), histogram=True),
        Ask(PERFORMANCE, ("error_type",)),
        Ask(PERFORMANCE, histogram=True, stepped=True),
    )
    operations, priorities = speed.regroup(("operation",)), speed.regroup(("gap_priority",))
    total = int(failures.counter("errors").sum())
    errors = [
        {
            "error_type": group[0],
            "count": int(count),
            "share_percent": answers.percent(count, total),
        }
        for group, count in zip(failures.groups, failures.counter("errors"), strict=True)
        if count
    ]
    return reading.answer(
        {
            "relative_error": answers.ERROR,
            "all_operations": answers.latencies(speed.regroup(()))[0],
            "operations": answers.by("operation", operations, answers.latencies(operations)),
            "gap_priorities": answers.by("gap_priority", priorities, answers.latencies(priorities)),
            "error_types": sorted(errors, key=lambda e: (-e["count"], e["error_type"])),
            "series": reading.series(answers.points(over_time, answers.latencies(over_time))),
        }
    )


async def costs(request: Request[State]) -> Response:
    """Answer what the calls cost, by whom, what caching saved, and where it is heading."""
    reading = _Reading(request)
    calls, lookups, over_time = await reading.ask(
        Ask(LLM_CALL, ("operation", "provider", "model")),
        Ask(CACHE),
        Ask(LLM_CALL, stepped=True),
    )
    everything = answers.costs_of(calls.regroup(()))[0]
    models = calls.regroup(("provider", "model"))
    by_model = [
        {"provider": group[0], "model": group[1], **answer}
        for group, answer in zip(models.groups, answers.costs_of(models), strict=True)
    ]
    saved_by_cache = answers.lookups_of(lookups)[0]["saved_usd"]
    total = everything.pop("cost_usd")
    return reading.answer(
        {
            "total_cost_usd": total,
            **everything,
            **answers.projections(total, reading.asked.minutes),
            "savings": {
                "prompt_cache_usd": everything["cache_savings_usd"],
                "application_cache_usd": saved_by_cache,
                "total_usd": round(everything["cache_savings_usd"] + saved_by_cache, 9),
            },
            "operations": _costs_by(calls, "operation"),
            "providers": _costs_by(calls, "provider"),
            "models": sorted(
                (m for m in by_model if m["calls"]), key=lambda m: (-m["cost_usd"], str(m["model"]))
            ),
            "unpriced": [
                {"provider": m["provider"], "model": m["model"], "calls": m["unpriced_calls"]}
                for m in by_model
                if m["unpriced_calls"]
            ],
            "series": reading.series(answers.points(over_time, answers.costs_of(over_time))),
        }
    )


def _costs_by(calls: Summary, name: str) -> list[Answer]:
    found = calls.regroup((name,))
    return sorted(
        answers.by(name, found, answers.costs_of(found), order="calls"),
        key=lambda answer: -answer["cost_usd"],
    )


async def quality(request: Request[State]) -> Response:
    """Answer scores, refinement and acceptance, by operation, gap priority, evaluator and time."""
    reading = _Reading(request)
    judged, over_time = await reading.ask(
        Ask(QUALITY, ("operation", "gap_priority", "evaluator")), Ask(QUALITY, stepped=True)
    )

    def grouped(name: str) -> list[Answer]:
        found = judged.regroup((name,))
        return answers.by(name, found, answers.quality_of(found), order="evaluations")

    return reading.answer(
        {
            **answers.quality_of(judged.regroup(()))[0],
            "operations": grouped("operation"),
            "gap_priorities": grouped("gap_priority"),
            "evaluators": grouped("evaluator"),
            "trend": reading.series(answers.points(over_time, answers.quality_of(over_time))),
        }
    )


async def cache(request: Request[State]) -> Response:
    """Answer hits, misses and savings of the layers, by operation and time."""
    reading = _Reading(request)
    lookups, calls, over_time = await reading.ask(
        Ask(CACHE, ("layer", "operation")), Ask(LLM_CALL), Ask(CACHE, stepped=True)
    )
    operations = lookups.regroup(("operation",))
    prompt = answers.costs_of(calls)[0]
    return reading.answer(
        {
            **answers.lookups_of(lookups.regroup(()))[0],
            "layers": answers.layers(lookups.regroup(("layer",))),
            "operations": [
                {"operation": group[0], **answer}
                for group, answer in zip(
                    operations.groups, answers.lookups_of(operations), strict=True
                )
                if answer["hits"] + answer["misses"]
            ],
            # What the providers say themselves with each call, beside the application's own events.
            "provider_prompt_cache": {
                "calls": prompt["calls"],
                "hit_rate_percent": prompt["cache_hit_rate_percent"],
                "cached_input_tokens": prompt["tokens"]["cached_input_tokens"],
                "saved_usd": prompt["cache_savings_usd"],
            },
            "series": reading.series(answers.points(over_time, answers.lookups_of(over_time))),
        }
    )


routes = [
    Route("/api/metrics/dashboard", dashboard),
    Route("/api/metrics/performance", performance),
    Route("/api/metrics/costs", costs),
    Route("/api/metrics/quality", quality),
    Route("/api/metrics/cache", cache),
]
