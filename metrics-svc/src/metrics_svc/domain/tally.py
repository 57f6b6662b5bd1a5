"""From events to what is stored of them: raw rows, the series that they count in, and their totals.

All work is done per batch and column by column, because work per event is what bounds the ingest rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Protocol

import msgspec
import numpy as np

from metrics_svc.domain import kind as kinds
from metrics_svc.domain.block import Block, Floats, Ints, add, observed
from metrics_svc.domain.event import (
    Cache,
    Exposure,
    LlmCall,
    Measurement,
    Performance,
    Probe,
    Quality,
    StoredEvent,
)
from metrics_svc.domain.histogram import codes
from metrics_svc.domain.kind import Kind
from metrics_svc.domain.price import RateCard
from metrics_svc.domain.rollup import FINEST, key

Dimensions = tuple[str | None, ...]
Row = tuple[Any, ...]
_NAN = float("nan")


class Prices(Protocol):
    """Where the price of a model comes from."""

    def resolve(self, provider: str | None, model: str | None, at: float) -> RateCard | None:
        """Return the model's price at ``at`` (Unix seconds), or ``None`` when it has none."""
        ...


@dataclass(frozen=True, slots=True)
class Tally:
    """One kind's share of a batch.

    ``single`` holds each event under its position; ``series`` names the series in which it counts plainly, and
    ``flagged`` lists (positions, series) of the events that count once more for a flag's variant.
    """

    kind: Kind
    rows: list[Row]
    series: list[Dimensions]
    flagged: list[tuple[list[int], list[Dimensions]]]
    bucket: Ints
    single: Block

    def wanted(self) -> Iterable[Dimensions]:
        """Yield every series in which an event counts, repeatedly."""
        yield from self.series
        for _, series in self.flagged:
            yield from series

    def block(self, ids: Mapping[Dimensions, int]) -> Block:
        """Return the totals by (bucket, series) once every series has its id."""
        plain = np.array([ids[s] for s in self.series], np.int64)
        blocks = [self.single.with_keys(key(self.bucket, plain))]
        for positions, series in self.flagged:
            place = np.array(positions)
            found = np.array([ids[s] for s in series], np.int64)
            blocks.append(self.single.select(place).with_keys(key(self.bucket[place], found)))
        return add(blocks)


def tally(events: Sequence[StoredEvent], prices: Prices) -> list[Tally]:
    """Return one tally for each kind among ``events``, whose timestamps are all set."""
    by_type: dict[type, list[Any]] = {}
    for event in events:
        by_type.setdefault(type(event), []).append(event)
    return [_FILL[kind](group, prices) for kind, group in by_type.items()]


def nanos(usd: Decimal | None) -> int | None:
    """Return an amount as whole nano-dollars, rounded half to even."""
    return None if usd is None else int(usd.scaleb(9).to_integral_value(ROUND_HALF_EVEN))


def _tally(
    kind: Kind, events: Sequence[Any], rows: list[Row], series: list[Dimensions], single: Block
) -> Tally:
    times = np.array([event.timestamp.timestamp() for event in events])
    bucket = times.astype(np.int64)
    flagged: list[tuple[list[int], list[Dimensions]]] = []
    for position, event in enumerate(events):
        if event.flags:
            for nth, flag in enumerate(event.flags.items()):
                if nth == len(flagged):
                    flagged.append(([], []))
                flagged[nth][0].append(position)
                flagged[nth][1].append(series[position][:-2] + flag)
    return Tally(kind, rows, series, flagged, bucket - bucket % FINEST, single)


def _json(value: Mapping[str, Any] | None) -> str | None:
    return msgspec.json.encode(value).decode() if value else None


def _floats(values: Iterable[float | None]) -> Floats:
    return np.array([_NAN if value is None else value for value in values])


def _counters(*columns: Sequence[int | bool]) -> Ints:
    return np.array(columns, dtype=np.int64).T


def _failure(status: str, error_type: str | None) -> str | None:
    return None if status == "ok" else error_type or "unknown"


PERFORMANCE_COLUMNS = (
    "ts", "operation", "environment", "gap_priority", "user_id", "session_id", "duration_ms",
    "status", "error_type", "error_message", "error_context", "flags", "attributes",
)  # fmt: skip


def _performance(events: Sequence[Performance], _: Prices) -> Tally:
    rows: list[Row] = [
        (
            e.timestamp, e.operation, e.environment, e.gap_priority, e.user_id, e.session_id, e.duration_ms,
            e.status, e.error_type, e.error_message, _json(e.error_context), _json(e.flags), _json(e.attributes),
        )
        for e in events
    ]  # fmt: skip
    series: list[Dimensions] = [
        (e.operation, e.environment, e.gap_priority, _failure(e.status, e.error_type), None, None)
        for e in events
    ]
    counters = _counters([1] * len(events), [e.status != "ok" for e in events])
    single = observed(counters, np.array([e.duration_ms for e in events]))
    return _tally(kinds.PERFORMANCE, events, rows, series, single)


LLM_CALL_COLUMNS = (
    "ts", "operation", "environment", "gap_priority", "user_id", "session_id", "provider", "model",
    "input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens",
    "duration_ms", "cache_hit", "status", "error_type", "error_message",
    "cost_nanos", "cache_savings_nanos", "price_version", "flags", "attributes",
)  # fmt: skip
# The price version of a call whose sender said what it cost.
STATED = "event"


# (Cost in nano-dollars, savings by the provider's cache, price version); without a cost the call is unpriced.
Charged = tuple[int | None, int, str | None]


def charge(e: LlmCall, prices: Prices) -> Charged:
    """Return what a call costs: what its sender said, else what its model's price makes it."""
    assert e.timestamp is not None
    card = prices.resolve(e.provider, e.model, e.timestamp.timestamp())
    if card is None:
        return nanos(e.cost_usd), 0, None if e.cost_usd is None else STATED
    found = card.charge(
        input_tokens=e.input_tokens,
        output_tokens=e.output_tokens,
        cached_input_tokens=e.cached_input_tokens,
        cache_write_tokens=e.cache_write_tokens,
        reasoning_tokens=e.reasoning_tokens,
    )
    if e.cost_usd is not None:
        return nanos(e.cost_usd), found.cache_savings_nanos, STATED
    return found.cost_nanos, found.cache_savings_nanos, card.version


def _llm_call(events: Sequence[LlmCall], prices: Prices) -> Tally:
    charges = [charge(e, prices) for e in events]
    hits = [e.cached_input_tokens > 0 if e.cache_hit is None else e.cache_hit for e in events]
    rows: list[Row] = [
        (
            e.timestamp, e.operation, e.environment, e.gap_priority, e.user_id, e.session_id, e.provider, e.model,
            e.input_tokens, e.output_tokens, e.cached_input_tokens, e.cache_write_tokens, e.reasoning_tokens,
            e.duration_ms, hit, e.status, e.error_type, e.error_message,
            cost, saved, version, _json(e.flags), _json(e.attributes),
        )
        for e, hit, (cost, saved, version) in zip(events, hits, charges, strict=True)
    ]  # fmt: skip
    series: list[Dimensions] = [
        (
            e.operation, e.environment, e.gap_priority, e.provider, e.model,
            _failure(e.status, e.error_type), None, None,
        )
        for e in events
    ]  # fmt: skip
    counters = _counters(
        [1] * len(events),
        [e.status != "ok" for e in events],
        [cost or 0 for cost, _, _ in charges],
        [cost is None for cost, _, _ in charges],
        [e.input_tokens for e in events],
        [e.output_tokens for e in events],
        [e.cached_input_tokens for e in events],
        [e.cache_write_tokens for e in events],
        [e.reasoning_tokens for e in events],
        hits,
        [saved for _, saved, _ in charges],
    )
    single = observed(counters, _floats(e.duration_ms for e in events))
    return _tally(kinds.LLM_CALL, events, rows, series, single)


QUALITY_COLUMNS = (
    "ts", "operation", "environment", "gap_priority", "user_id", "session_id", "score", "refined",
    "accepted_first_pass", "evaluator", "flags", "attributes",
)  # fmt: skip


def _quality(events: Sequence[Quality], _: Prices) -> Tally:
    rows: list[Row] = [
        (
            e.timestamp, e.operation, e.environment, e.gap_priority, e.user_id, e.session_id, e.score, e.refined,
            e.accepted_first_pass, e.evaluator, _json(e.flags), _json(e.attributes),
        )
        for e in events
    ]  # fmt: skip
    series: list[Dimensions] = [
        (e.operation, e.environment, e.gap_priority, e.evaluator, None, None) for e in events
    ]
    counters = _counters(
        [1] * len(events),
        [e.refined is True for e in events],
        [e.refined is not None for e in events],
        [e.accepted_first_pass is True for e in events],
        [e.accepted_first_pass is not None for e in events],
    )
    return _tally(
        kinds.QUALITY, events, rows, series, observed(counters, _floats(e.score for e in events))
    )


CACHE_COLUMNS = (
    "ts", "operation", "environment", "gap_priority", "user_id", "session_id", "layer", "hit", "miss_reason",
    "saved_ms", "saved_nanos", "flags", "attributes",
)  # fmt: skip


def _cache(events: Sequence[Cache], _: Prices) -> Tally:
    saved = [nanos(e.saved_usd) for e in events]
    rows: list[Row] = [
        (
            e.timestamp, e.operation, e.environment, e.gap_priority, e.user_id, e.session_id, e.layer, e.hit,
            e.miss_reason, e.saved_ms, money, _json(e.flags), _json(e.attributes),
        )
        for e, money in zip(events, saved, strict=True)
    ]  # fmt: skip
    series: list[Dimensions] = [
        (e.operation, e.environment, e.gap_priority, e.layer, None, None) for e in events
    ]
    counters = _counters(
        [1] * len(events),
        [e.hit for e in events],
        *(
            [not e.hit and e.miss_reason == r for e in events]
            for r in ("cold", "expired", "evicted")
        ),
        [money or 0 for money in saved],
    )
    return _tally(
        kinds.CACHE, events, rows, series, observed(counters, _floats(e.saved_ms for e in events))
    )


EXPOSURE_COLUMNS = (
    "ts", "operation", "environment", "gap_priority", "user_id", "session_id", "flag_key", "variant",
    "targeting_key", "flags", "attributes",
)  # fmt: skip


def _exposure(events: Sequence[Exposure], _: Prices) -> Tally:
    rows: list[Row] = [
        (
            e.timestamp, e.operation, e.environment, e.gap_priority, e.user_id, e.session_id, e.flag_key, e.variant,
            e.targeting_key, _json(e.flags), _json(e.attributes),
        )
        for e in events
    ]  # fmt: skip
    # An exposure is about its own flag; the flags it was sent with do not count it again.
    plain = [msgspec.structs.replace(e, flags=None) for e in events]
    series: list[Dimensions] = [
        (e.operation, e.environment, e.gap_priority, e.flag_key, e.variant) for e in events
    ]
    single = observed(_counters([1] * len(events)), np.full(len(events), _NAN))
    return _tally(kinds.EXPOSURE, plain, rows, series, single)


PROBE_COLUMNS = (
    "ts", "operation", "environment", "gap_priority", "user_id", "session_id", "target", "kind", "up",
    "latency_ms", "detail", "flags", "attributes",
)  # fmt: skip


def _probe(events: Sequence[Probe], _: Prices) -> Tally:
    rows: list[Row] = [
        (
            e.timestamp, e.operation, e.environment, e.gap_priority, e.user_id, e.session_id, e.target, e.kind, e.up,
            e.latency_ms, e.detail, _json(e.flags), _json(e.attributes),
        )
        for e in events
    ]  # fmt: skip
    series: list[Dimensions] = [
        (e.operation, e.environment, e.gap_priority, e.target, e.kind, None, None) for e in events
    ]
    counters = _counters([1] * len(events), [e.up for e in events])
    return _tally(
        kinds.PROBE, events, rows, series, observed(counters, _floats(e.latency_ms for e in events))
    )


MEASUREMENT_COLUMNS = (
    "ts", "operation", "environment", "gap_priority", "user_id", "session_id", "name", "unit",
    "observations", "total", "low", "high", "flags", "attributes",
)  # fmt: skip


def _measurement(events: Sequence[Measurement], _: Prices) -> Tally:
    rows: list[Row] = [
        (
            e.timestamp, e.operation, e.environment, e.gap_priority, e.user_id, e.session_id, e.name, e.unit,
            e.count, e.total, e.low, e.high, _json(e.flags), _json(e.attributes),
        )
        for e in events
    ]  # fmt: skip
    series: list[Dimensions] = [
        (e.operation, e.environment, e.gap_priority, e.name, e.unit or None, None, None)
        for e in events
    ]
    bins = [(position, value, n) for position, e in enumerate(events) for value, n in _bins(e)]
    values = np.array([value for _, value, _ in bins], dtype=np.float64)
    row = np.array([position for position, _, _ in bins], dtype=np.int64)
    weight = np.array([n for _, _, n in bins], dtype=np.int64)
    squares = np.bincount(row, weights=values * values * weight, minlength=len(events))
    single = Block(
        np.arange(len(events), dtype=np.int64),
        _counters([e.count for e in events]),
        np.stack(
            [_floats(e.count for e in events), _floats(e.total for e in events), squares], axis=1
        ),
        np.array([_bound(e, e.low, np.inf) for e in events]),
        np.array([_bound(e, e.high, -np.inf) for e in events]),
        row,
        codes(values),
        weight,
    )
    # Two bins of one point may share a code; adding the block to nothing orders and joins them.
    return _tally(kinds.MEASUREMENT, events, rows, series, single.with_keys(single.keys))


def _bins(e: Measurement) -> Sequence[tuple[float, int]]:
    return e.bins or ([(e.total, 1)] if e.count == 1 else [])


def _bound(e: Measurement, stated: float | None, unknown: float) -> float:
    if stated is not None:
        return stated
    return e.total if e.count == 1 else unknown


_FILL: Mapping[type, Callable[[Any, Prices], Tally]] = {
    Performance: _performance,
    LlmCall: _llm_call,
    Quality: _quality,
    Cache: _cache,
    Exposure: _exposure,
    Probe: _probe,
    Measurement: _measurement,
}

COLUMNS: Mapping[str, Sequence[str]] = {
    "performance": PERFORMANCE_COLUMNS,
    "llm_call": LLM_CALL_COLUMNS,
    "quality": QUALITY_COLUMNS,
    "cache": CACHE_COLUMNS,
    "exposure": EXPOSURE_COLUMNS,
    "probe": PROBE_COLUMNS,
    "measurement": MEASUREMENT_COLUMNS,
}
