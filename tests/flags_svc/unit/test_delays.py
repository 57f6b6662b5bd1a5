from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flags_svc.instruments import APPLIED_BUCKETS
from flags_svc.live.delays import bucket_of, quantile, told

delays = st.lists(st.floats(0, 100), min_size=1, max_size=200)
ALL = (0.0, *APPLIED_BUCKETS)


def test_a_delay_is_in_the_first_bucket_that_holds_it() -> None:
    assert [bucket_of(seconds) for seconds in (0.0, 0.001, 0.0011, 60.0, 60.1)] == [
        *(0.001, 0.001, 0.0025, 60.0, math.inf),
    ]


def test_without_any_nothing_is_told() -> None:
    assert quantile({}, 0.5) is None
    assert told({})["p99"] is None


def test_what_is_beyond_the_last_bound_is_told_as_that() -> None:
    assert quantile({math.inf: 3}, 0.5) == APPLIED_BUCKETS[-1]


@given(delays, st.floats(0.01, 1.0))
def test_a_quantile_is_in_the_bucket_of_the_true_one(
    seconds: Sequence[float], share: float
) -> None:
    counts = Counter(map(bucket_of, seconds))
    true = sorted(seconds)[math.ceil(share * len(seconds)) - 1]

    found = quantile(counts, share)

    assert found is not None
    upper = min(bucket_of(true), APPLIED_BUCKETS[-1])
    lower = ALL[ALL.index(upper) - 1]
    assert lower <= found <= upper or found == pytest.approx(lower)


@given(delays)
def test_each_bucket_is_told_with_those_before(seconds: Sequence[float]) -> None:
    document = told(Counter(map(bucket_of, seconds)))

    assert document["count"] == len(seconds)
    assert document["buckets"] == [
        {"le": bound, "count": sum(each <= bound for each in seconds)} for bound in APPLIED_BUCKETS
    ]
