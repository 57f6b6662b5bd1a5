"""Corrections of the totals, against totals made anew."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from metrics_svc.catalogue import GenaiCatalogue
from metrics_svc.domain.block import add
from metrics_svc.domain.event import LlmCall
from metrics_svc.domain.price import PriceBook
from metrics_svc.domain.price_list import OwnPrice, OwnPrices
from metrics_svc.domain.repricing import Outcome, StoredCall, rows_found
from metrics_svc.domain.tally import charge, tally

NOON = datetime(2025, 11, 29, 12, tzinfo=UTC)
CATALOGUE = GenaiCatalogue()
amounts = st.decimals(min_value=0, max_value=100, places=6)
calls = st.builds(
    LlmCall,
    timestamp=st.integers(0, 40_000).map(lambda ms: NOON + timedelta(milliseconds=ms)),
    operation=st.sampled_from(["search", "answer"]),
    provider=st.sampled_from(["google", None]),
    model=st.sampled_from(["text-embedding-004", "gemini-2.0-flash", "made-up"]),
    input_tokens=st.integers(0, 100_000),
    cached_input_tokens=st.integers(0, 100_000),
    output_tokens=st.integers(0, 1_000),
    flags=st.sampled_from([None, {"prompt": "b"}, {"prompt": "a", "cache": "on"}]),
)


@st.composite
def own_prices(draw: st.DrawFn) -> OwnPrices:
    prices = [
        OwnPrice(
            None,
            model,
            NOON + timedelta(seconds=20 * n),
            draw(amounts),
            draw(amounts),
            draw(amounts),
        )
        for model in ("text-embedding-004", "gemini-2.0-flash")
        for n in range(draw(st.integers(0, 2)))
    ]
    return OwnPrices().with_prices(prices)


def stored(event: LlmCall, book: PriceBook) -> StoredCall:
    assert event.timestamp is not None
    flags = None if event.flags is None else msgspec.json.encode(event.flags).decode()
    return StoredCall(
        event.timestamp,
        event.operation,
        event.environment,
        event.gap_priority,
        event.provider,
        event.model,
        event.input_tokens,
        event.output_tokens,
        event.cached_input_tokens,
        event.cache_write_tokens,
        event.reasoning_tokens,
        event.status,
        event.error_type,
        flags,
        *charge(event, book),
    )


@given(st.lists(calls, min_size=1, max_size=30), own_prices(), own_prices(), st.integers(1, 3))
def test_old_totals_and_corrections_are_the_totals_at_the_new_prices(
    events: Sequence[LlmCall], old: OwnPrices, new: OwnPrices, copies: int
) -> None:
    before, after = PriceBook(CATALOGUE, old), PriceBook(CATALOGUE, new)
    events = [*events] * copies
    (wanted,) = tally(events, after)
    ids = dict(zip(dict.fromkeys(wanted.wanted()), count(1), strict=False))
    held = [tally(events, before)[0].block(ids)]
    kept = [stored(event, before) for event in events]

    outcome = Outcome()
    change = outcome.examine(kept, after)
    if change is not None:
        positions = [change.calls.index(call) for call in kept if call in change.calls]
        held.append(change.times(rows_found(positions, len(change))).block(ids))

    assert np.array_equal(add(held).counters, wanted.block(ids).counters)
    assert np.array_equal(add(held).keys, wanted.block(ids).keys)
    assert outcome.cost_before_nanos == sum(call.cost_nanos or 0 for call in kept)
    assert outcome.cost_after_nanos == sum(charge(event, after)[0] or 0 for event in events)


def test_rows_that_were_not_found_correct_nothing() -> None:
    event = LlmCall(timestamp=NOON, operation="search", model="made-up", input_tokens=1_000_000)
    own = OwnPrices().with_prices([OwnPrice(None, "made-up", NOON, Decimal(2), Decimal(0))])
    call = stored(event, PriceBook(CATALOGUE, OwnPrices()))

    change = Outcome().examine([call, call], PriceBook(CATALOGUE, own))

    assert change is not None
    assert len(change) == 1
    assert not change.times(rows_found([], 1)).single.counters.any()
    assert change.times(rows_found([0, 0], 1)).single.counters[0, 2] == 2 * 2_000_000_000


def test_calls_without_a_price_are_named() -> None:
    event = LlmCall(timestamp=NOON, operation="search", provider="acme", model="made-up")
    outcome = Outcome()

    outcome.examine(
        [stored(event, PriceBook(CATALOGUE, OwnPrices()))] * 3, PriceBook(CATALOGUE, OwnPrices())
    )

    assert outcome.still_unpriced == 3
    assert outcome.unpriced_models == {("acme", "made-up"): 3}
