"""The body of ``POST /api/metrics/query`` and its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from metrics_svc.domain.event import MAX_NAME
from metrics_svc.domain.kind import Kind
from metrics_svc.domain.measure import MEASURES, Measure
from metrics_svc.domain.rollup import FINEST
from metrics_svc.domain.summary import Filters
from metrics_svc.wire.parameters import DEFAULT_MINUTES, MAX_MINUTES
from windsock_kit.decoding import reading_json
from windsock_kit.errors import InvalidError

MAX_QUERIES = 100
MAX_STEPS = 2_000
MAX_VALUES = 200
RATIO = "ratio"

_Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
_Value = _Name | None


class _Query(msgspec.Struct, forbid_unknown_fields=True):
    measure: str
    aggregation: str
    id: _Name | None = None
    denominator: str | None = None
    group_by: Annotated[list[_Name], Meta(max_length=10)] = []
    filters: dict[
        _Name, _Value | Annotated[list[_Value], Meta(min_length=1, max_length=MAX_VALUES)]
    ] = {}


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    queries: Annotated[list[_Query], Meta(min_length=1, max_length=MAX_QUERIES)]
    time_window_minutes: Annotated[int, Meta(ge=1, le=MAX_MINUTES)] | None = None
    begin: Annotated[datetime, Meta(tz=True)] | None = msgspec.field(name="from", default=None)
    end: Annotated[datetime, Meta(tz=True)] | None = msgspec.field(name="to", default=None)
    step_seconds: Annotated[int, Meta(ge=FINEST, le=31 * 86_400, multiple_of=FINEST)] | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """One question: an aggregation of a measure, or its ratio to ``denominator``, by group."""

    id: str
    measure: Measure
    aggregation: str
    denominator: Measure | None
    group_by: tuple[str, ...]
    filters: Filters


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """All questions of a request, and the stretch of time (Unix seconds) that they are about."""

    queries: Sequence[Query]
    start: float
    end: float
    step: int | None


_decoder = msgspec.json.Decoder(_Body)


def parse_query(body: bytes, *, now: datetime) -> QueryRequest:
    """Decode a request; anything unknown is an ``InvalidError`` with its path and what is allowed."""
    with reading_json(body):
        given = _decoder.decode(body)
    start, end = _stretch(given, now.timestamp())
    step = given.step_seconds
    if step is not None and (end - start) / step > MAX_STEPS:
        raise InvalidError(
            f"step_seconds divides the window into more than {MAX_STEPS} steps", path="step_seconds"
        )
    queries = [_query(query, index) for index, query in enumerate(given.queries)]
    seen: set[str] = set()
    for index, query in enumerate(queries):
        if query.id in seen:
            raise InvalidError(f"id {query.id!r} is used twice", path=f"queries[{index}].id")
        seen.add(query.id)
    return QueryRequest(queries, start, end, step)


def _stretch(given: _Body, now: float) -> tuple[float, float]:
    if given.begin is None and given.end is None:
        return now - (given.time_window_minutes or DEFAULT_MINUTES) * 60, now
    if given.time_window_minutes is not None:
        raise InvalidError(
            "give either time_window_minutes or from and to", path="time_window_minutes"
        )
    if given.begin is None:
        raise InvalidError("to needs a from", path="from")
    start = given.begin.timestamp()
    end = now if given.end is None else given.end.timestamp()
    if not 0 <= start < end:
        raise InvalidError("from must be before to", path="from")
    if end - start > 400 * 86_400:
        raise InvalidError("the window is longer than 400 days", path="from")
    if start >= now:
        raise InvalidError("from lies in the future", path="from")
    return start, min(end, now)


def _query(given: _Query, index: int) -> Query:
    path = f"queries[{index}]"
    measure = _measure(given.measure, f"{path}.measure")
    denominator = None
    if given.aggregation == RATIO:
        if given.denominator is None:
            raise InvalidError("a ratio needs a denominator", path=f"{path}.denominator")
        denominator = _measure(given.denominator, f"{path}.denominator")
    elif given.denominator is not None:
        raise InvalidError("only a ratio has a denominator", path=f"{path}.denominator")
    elif not measure.allows(given.aggregation):
        allowed = (*measure.aggregations, RATIO)
        raise InvalidError(
            f"{measure.name} has no aggregation {given.aggregation[:MAX_NAME]!r}; allowed: {', '.join(allowed)}",
            path=f"{path}.aggregation",
            allowed=allowed,
        )
    for kind in (measure.kind, *([denominator.kind] if denominator else [])):
        _check_dimensions(given, kind, path)
    filters = {
        name: frozenset(value if isinstance(value, list) else [value])
        for name, value in given.filters.items()
    }
    identity = given.id or f"q{index}"
    return Query(
        identity,
        measure,
        given.aggregation,
        denominator,
        tuple(dict.fromkeys(given.group_by)),
        filters,
    )


def _measure(name: str, path: str) -> Measure:
    if name not in MEASURES:
        raise InvalidError(
            f"unknown measure {name[:MAX_NAME]!r}; GET /api/metrics/measures lists them",
            path=path,
            allowed=list(MEASURES),
        )
    return MEASURES[name]


def _check_dimensions(given: _Query, kind: Kind, path: str) -> None:
    for place, names in (("group_by", given.group_by), ("filters", given.filters)):
        for name in names:
            if name not in kind.dimensions:
                raise InvalidError(
                    f"{kind.name} has no dimension {name!r}; allowed: {', '.join(kind.dimensions)}",
                    path=f"{path}.{place}",
                    allowed=kind.dimensions,
                )


def catalogue() -> list[dict[str, Any]]:
    """Return every measure with its unit, aggregations and dimensions."""
    return [
        {
            "measure": measure.name,
            "unit": measure.unit,
            "aggregations": [*measure.aggregations, RATIO],
            "dimensions": list(measure.kind.dimensions),
        }
        for measure in MEASURES.values()
    ]
