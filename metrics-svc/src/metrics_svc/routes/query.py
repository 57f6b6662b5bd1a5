"""``POST /api/metrics/query`` and the list of what can be asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metrics_svc.domain.block import Floats
from metrics_svc.domain.measure import Measure, evaluate, percentile
from metrics_svc.domain.summary import Summary, TooManyCellsError
from metrics_svc.domain.tally import Dimensions
from metrics_svc.domain.window import Window, align, finest_kept
from metrics_svc.engine import Ask
from metrics_svc.state import State
from metrics_svc.version import VERSION
from metrics_svc.wire import answers
from metrics_svc.wire.query import Query, QueryRequest, catalogue, parse_query
from windsock_kit.body import read_body
from windsock_kit.errors import InvalidError
from windsock_kit.postgres import unavailable
from windsock_kit.responses import json

# The values may be money, which is whole in nano-dollars.
_DIGITS = 9
_UNITS = {"count": "events", "rate": "1/s"}


async def query(request: Request[State]) -> Response:
    """Answer any number of questions about one stretch of time, from one read."""
    state = request.state
    body = await read_body(request, max_bytes=2**20, max_decompressed_bytes=2**20)
    now = state["clock"]()
    asked = parse_query(body, now=now)
    _check_step(asked, now.timestamp(), state["kept"])
    window = align(asked.start, asked.end, now=now.timestamp(), kept=state["kept"], step=asked.step)
    wanted: dict[tuple[object, ...], Ask] = {}
    for each in asked.queries:
        for measure in (each.measure, each.denominator):
            if measure is not None:
                _want(wanted, each, measure)
    try:
        with unavailable("the store cannot answer now"):
            found = await state["engine"].ask(window, list(wanted.values()))
    except TooManyCellsError as error:
        raise InvalidError(
            f"{error}; group by less, filter, or take longer steps", path="queries"
        ) from None
    summaries = dict(zip(wanted, found, strict=True))
    seconds = _durations(window, now.timestamp())
    return json(
        {
            "timestamp": answers.instant(now.timestamp()),
            "version": VERSION,
            "from": answers.instant(window.start),
            "to": answers.instant(window.end),
            "step_seconds": window.step,
            "relative_error": answers.ERROR,
            "notes": state["engine"].notes(),
            "queries": [_answer(each, summaries, seconds, window) for each in asked.queries],
        }
    )


def _check_step(asked: QueryRequest, now: float, kept: Mapping[int, int]) -> None:
    finest = finest_kept(asked.start, now=now, kept=kept)
    if asked.step is not None and asked.step % finest:
        raise InvalidError(
            f"so far back step_seconds must be a multiple of {finest}",
            path="step_seconds",
            allowed=[f"multiples of {finest}"],
        )


def _key(asked: Query, measure: Measure) -> tuple[object, ...]:
    return measure.kind.name, asked.group_by, tuple(sorted(asked.filters.items(), key=repr))


def _want(wanted: dict[tuple[object, ...], Ask], asked: Query, measure: Measure) -> None:
    key = _key(asked, measure)
    histogram = percentile(asked.aggregation) is not None or (
        key in wanted and wanted[key].histogram
    )
    wanted[key] = Ask(measure.kind, asked.group_by, asked.filters, histogram, stepped=True)


def _durations(window: Window, now: float) -> Floats:
    """Return how long each step lasted within the window and until now, at least a second."""
    steps = np.array(window.steps(), dtype=np.float64)
    ends = np.append(steps[1:], window.end)
    lasted: Floats = np.maximum(np.minimum(ends, now) - np.maximum(steps, window.start), 1.0)
    return lasted


def _answer(
    asked: Query, summaries: dict[tuple[object, ...], Summary], seconds: Floats, window: Window
) -> dict[str, Any]:
    if asked.denominator is None:
        found = summaries[_key(asked, asked.measure)]
        lasted = np.tile(seconds, len(found.groups))
        values = evaluate(asked.measure, asked.aggregation, found, seconds=lasted)
        samples = asked.measure.samples(found)
        unit = _UNITS.get(asked.aggregation, asked.measure.unit)
    else:
        # Nothing above something is zero, so the groups are those of the denominator.
        found = summaries[_key(asked, asked.denominator)]
        values, samples = _ratio(asked, asked.denominator, summaries)
        unit = f"{asked.measure.unit}/{asked.denominator.unit}"
    return {
        "id": asked.id,
        "measure": asked.measure.name,
        "aggregation": asked.aggregation,
        **({"denominator": asked.denominator.name} if asked.denominator else {}),
        "unit": unit,
        "series": _series(asked, found, values, samples, stepped=window.step is not None),
    }


def _ratio(
    asked: Query, denominator: Measure, summaries: dict[tuple[object, ...], Summary]
) -> tuple[Floats, Floats]:
    above = summaries[_key(asked, asked.measure)]
    below = summaries[_key(asked, denominator)]
    # The two may be of different kinds, whose groups come in different order.
    place: dict[Dimensions, int] = {group: number for number, group in enumerate(above.groups)}
    width = len(below.steps)
    part = np.zeros(len(below.counters))
    total = asked.measure.total(above)
    for number, group in enumerate(below.groups):
        if group in place:
            start = place[group] * width
            part[number * width : (number + 1) * width] = total[start : start + width]
    whole = denominator.total(below)
    with np.errstate(divide="ignore", invalid="ignore"):
        values: Floats = np.where(whole > 0, part / whole, np.nan)
    return values, whole


def _series(
    asked: Query, found: Summary, values: Floats, samples: Floats, *, stepped: bool
) -> list[dict[str, Any]]:
    width = len(found.steps)
    made: list[dict[str, Any]] = []
    for number, group in enumerate(found.groups):
        cells = range(number * width, (number + 1) * width)
        if group and not any(samples[cell] for cell in cells):
            continue
        told = [
            {
                "value": answers.number(values[cell], _DIGITS),
                "samples": answers.count(samples[cell]),
            }
            for cell in cells
        ]
        entry: dict[str, Any] = {"group": dict(zip(asked.group_by, group, strict=True))}
        if stepped:
            entry["points"] = [
                {"timestamp": answers.instant(step), **point}
                for step, point in zip(found.steps, told, strict=True)
            ]
        else:
            entry |= told[0]
        made.append(entry)
    return sorted(made, key=lambda e: [str(value) for value in e["group"].values()])


async def measures(_: Request[State]) -> Response:
    """List what can be asked."""
    return json({"measures": catalogue()})


routes = [
    Route("/api/metrics/query", query, methods=["POST"]),
    Route("/api/metrics/measures", measures),
]
