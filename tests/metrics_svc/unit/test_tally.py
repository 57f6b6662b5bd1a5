from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_svc.domain.block import Block
from metrics_svc.domain.event import (
    Cache,
    Exposure,
    LlmCall,
    Measurement,
    Performance,
    Probe,
    Quality,
)
from metrics_svc.domain.histogram import codes
from metrics_svc.domain.price import Prices as UsdPrices
from metrics_svc.domain.price import RateCard, rate_card
from metrics_svc.domain.tally import COLUMNS, STATED, Tally, nanos, tally
from metrics_svc.store.events import TABLES
from tests.metrics_svc.replica import Unpriced

AT = datetime(2026, 3, 1, 12, 0, 7, 500_000, tzinfo=UTC)
BUCKET = int(AT.timestamp()) // 10 * 10


class OneCard:
    """Prices that know one model: 1 dollar a million input tokens, 4 of output, cached ones a tenth."""

    def resolve(self, provider: str | None, model: str | None, at: float) -> RateCard | None:
        prices = UsdPrices(Decimal(1), Decimal(4), Decimal("0.1"), Decimal(2), Decimal(4))
        return rate_card("v7", prices) if model == "acme-1" else None


def only(*events: Any, prices: Any = None) -> Tally:
    (found,) = tally(events, prices or Unpriced())
    return found


def block(found: Tally) -> tuple[dict[Any, int], Block]:
    """Return the series of a tally, numbered as they come, and the totals."""
    ids = {series: number for number, series in enumerate(dict.fromkeys(found.wanted()), 1)}
    return ids, found.block(ids)


def counters(event: Any, prices: Any = None) -> dict[str, int]:
    found = only(event, prices=prices)
    return dict(zip(found.kind.counters, found.single.counters[0].tolist(), strict=True))


def raw(event: Any, prices: Any = None) -> dict[str, Any]:
    found = only(event, prices=prices)
    return dict(zip(COLUMNS[found.kind.name], found.rows[0], strict=True))


def performance(**fields: Any) -> Performance:
    given: dict[str, Any] = {"timestamp": AT, "operation": "x", "duration_ms": 5} | fields
    return Performance(**given)


def call(**fields: Any) -> LlmCall:
    given: dict[str, Any] = {"timestamp": AT, "operation": "x"} | fields
    return LlmCall(**given)


def test_each_kind_is_tallied_by_itself() -> None:
    events: list[Any] = [
        performance(),
        call(),
        Quality(timestamp=AT, operation="x"),
        Cache(timestamp=AT, operation="x", layer="l1", hit=True),
        Exposure(timestamp=AT, flag_key="f", variant="v"),
        Probe(timestamp=AT, target="t", kind="k", up=True),
        Measurement(timestamp=AT, name="m", total=3.0),
        performance(),
    ]

    found = {part.kind.name: part for part in tally(events, Unpriced())}

    assert found.keys() == COLUMNS.keys() == TABLES.keys()
    assert len(found["performance"].rows) == 2
    for name, part in found.items():
        assert all(len(row) == len(COLUMNS[name]) for row in part.rows)
        assert all(len(series) == len(part.kind.dimensions) for series in part.wanted())
        assert part.single.counters.shape[1] == len(part.kind.counters)


def test_events_count_in_the_ten_seconds_and_the_series_they_belong_to() -> None:
    found = only(performance(gap_priority="high"), performance(), performance())

    ids, total = block(found)

    assert ids == {
        ("x", "production", "high", None, None, None): 1,
        ("x", "production", None, None, None, None): 2,
    }
    assert total.keys.tolist() == [BUCKET << 32 | 1, BUCKET << 32 | 2]
    assert total.counters.tolist() == [[1, 0], [2, 0]]
    assert total.moments.tolist() == [[1, 5, 25], [2, 10, 50]]


def test_flags_count_an_event_once_more_each_beside_the_plain_series() -> None:
    flags = {"ranker": "a", "cache": "on"}

    ids, total = block(only(performance(flags=flags), performance()))

    named = {series[-2:]: number for series, number in ids.items()}
    counts = dict(zip((total.keys & 0xFFFF).tolist(), total.counters[:, 0].tolist(), strict=True))
    assert {flag: counts[number] for flag, number in named.items()} == {
        (None, None): 2,
        ("ranker", "a"): 1,
        ("cache", "on"): 1,
    }


def test_exposure_counts_for_its_own_flag_only() -> None:
    event = Exposure(
        timestamp=AT, flag_key="f", variant="v", targeting_key="u", flags={"other": "x"}
    )

    ids, total = block(only(event))

    assert [series[-2:] for series in ids] == [("f", "v")]
    assert total.counters.tolist() == [[1]]
    assert raw(event)["flags"] == '{"other":"x"}'


@pytest.mark.parametrize(
    ("fields", "error_type"),
    [
        ({}, None),
        ({"error_type": "Timeout"}, None),
        ({"status": "error"}, "unknown"),
        ({"status": "error", "error_type": "Timeout"}, "Timeout"),
    ],
)
def test_error_type_is_a_dimension_of_failures_only(fields: Any, error_type: str | None) -> None:
    found = only(performance(**fields))

    assert found.series[0][found.kind.dimensions.index("error_type")] == error_type
    assert found.single.counters.tolist() == [[1, int(error_type is not None)]]


def test_priced_call_is_charged_and_keeps_the_version() -> None:
    event = call(model="acme-1", input_tokens=1_000, cached_input_tokens=400, output_tokens=10)

    counted, row = counters(event, OneCard()), raw(event, OneCard())

    # 600 at 1,000 nano-dollars, 400 at a tenth of that, 10 at 4,000.
    assert counted["cost_nanos"] == row["cost_nanos"] == 680_000
    assert counted["cache_savings_nanos"] == row["cache_savings_nanos"] == 360_000
    assert (counted["unpriced"], counted["cache_hits"]) == (0, 1)
    assert row["price_version"] == "v7"


def test_call_of_an_unknown_model_is_unpriced_and_not_free() -> None:
    counted, row = counters(call(model="new")), raw(call(model="new"))

    assert (counted["cost_nanos"], counted["unpriced"]) == (0, 1)
    assert row["cost_nanos"] is None
    assert row["price_version"] is None


@pytest.mark.parametrize("model", ["acme-1", "new", None])
def test_stated_cost_wins_over_any_price(model: str | None) -> None:
    event = call(model=model, input_tokens=5_000, cost_usd=Decimal("0.000000007"))

    counted, row = counters(event, OneCard()), raw(event, OneCard())

    assert counted["cost_nanos"] == row["cost_nanos"] == 7
    assert counted["unpriced"] == 0
    assert row["price_version"] == STATED


@pytest.mark.parametrize(
    ("fields", "hit"),
    [
        ({"cached_input_tokens": 1}, 1),
        ({}, 0),
        ({"cached_input_tokens": 1, "cache_hit": False}, 0),
        ({"cache_hit": True}, 1),
    ],
)
def test_cache_hit_is_what_was_said_else_what_the_tokens_tell(fields: Any, hit: int) -> None:
    assert counters(call(**fields))["cache_hits"] == hit
    assert raw(call(**fields))["cache_hit"] == bool(hit)


def test_quality_tells_what_is_unknown_from_what_is_false() -> None:
    none = counters(Quality(timestamp=AT, operation="x"))
    false = counters(Quality(timestamp=AT, operation="x", refined=False, accepted_first_pass=True))

    assert none == {
        "count": 1,
        "refined": 0,
        "refined_known": 0,
        "accepted_first_pass": 0,
        "accepted_first_pass_known": 0,
    }
    assert (false["refined"], false["refined_known"]) == (0, 1)
    assert (false["accepted_first_pass"], false["accepted_first_pass_known"]) == (1, 1)


def test_miss_reason_counts_for_misses_only() -> None:
    miss = Cache(timestamp=AT, operation="x", layer="l2", hit=False, miss_reason="expired")

    assert counters(miss)["misses_expired"] == 1
    assert counters(msgspec.structs.replace(miss, hit=True))["misses_expired"] == 0


@given(st.decimals(min_value=0, max_value=10_000, places=9))
def test_money_of_nine_decimals_is_exact(amount: Decimal) -> None:
    assert Decimal(nanos(amount) or 0).scaleb(-9) == amount


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0.0000000005", 0), ("0.0000000015", 2), ("0.00000000050001", 1), ("1e-400", 0)],
)
def test_money_beyond_a_nano_dollar_is_rounded_half_to_even(text: str, expected: int) -> None:
    assert nanos(Decimal(text)) == expected


@given(st.lists(st.floats(min_value=0, max_value=604_800_000), min_size=1, max_size=30))
def test_durations_are_kept_as_moments_and_histogram(durations: list[float]) -> None:
    _, total = block(only(*(performance(duration_ms=d) for d in durations)))

    exact = np.array(durations)
    number, added, squares = total.moments[0].tolist()
    assert number == len(durations)
    assert added == pytest.approx(exact.sum())
    assert squares == pytest.approx((exact * exact).sum())
    assert (total.low[0], total.high[0]) == (exact.min(), exact.max())
    code, count = np.unique(codes(exact), return_counts=True)
    assert total.bin_code.tolist() == code.tolist()
    assert total.bin_count.tolist() == count.tolist()


@given(st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2040, 1, 1)))  # noqa: DTZ001
def test_time_falls_into_the_bucket_that_holds_it(moment: datetime) -> None:
    at = moment.replace(tzinfo=UTC)

    (bucket,) = only(performance(timestamp=at)).bucket.tolist()

    assert bucket % 10 == 0
    assert datetime.fromtimestamp(bucket, UTC) <= at < datetime.fromtimestamp(bucket + 10, UTC)


def test_measurement_of_a_histogram_stands_for_all_its_observations() -> None:
    event = Measurement(
        timestamp=AT, name="m", unit="s", total=9.0, count=5, bins=((1.0, 3), (3.0, 1), (3.0, 1))
    )

    _, total = block(only(event))

    assert total.counters.tolist() == [[5]]
    assert total.moments.tolist() == [[5, 9, 21]]
    assert total.bin_count.tolist() == [3, 2]
