from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_svc.domain.histogram import RELATIVE_ERROR, codes, quantiles, representatives

QUANTILES = (0.0, 0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0)
# The outermost buckets begin at about 2**±255.
sizes = st.floats(min_value=2.0**-250, max_value=2.0**250)
values = st.one_of(st.just(0.0), st.just(-0.0), sizes, sizes.map(lambda size: -size))
# Rounding in the logarithm may put a value just beside its bucket.
SLACK = 1e-12


def histogram(found: Any) -> tuple[Any, Any]:
    return np.unique(codes(np.asarray(found, dtype=np.float64)), return_counts=True)


@given(st.lists(values, min_size=1, max_size=50))
def test_representative_is_within_the_relative_error(found: list[float]) -> None:
    exact = np.array(found)

    shown = representatives(codes(exact))

    assert np.all(np.abs(shown - exact) <= np.abs(exact) * (RELATIVE_ERROR + SLACK))


@given(st.lists(st.floats(allow_nan=False), min_size=2, max_size=50))
def test_codes_and_representatives_keep_the_order_of_any_floats(found: list[float]) -> None:
    code = codes(np.sort(np.array(found)))

    assert np.all(np.diff(code.astype(np.int64)) >= 0)
    assert np.all(np.diff(representatives(code)) >= 0)


@given(st.integers(min_value=-32_767, max_value=32_767).filter(bool))
def test_representative_lies_in_its_own_bucket(code: int) -> None:
    given_code = np.array([code], dtype=np.int16)

    assert codes(representatives(given_code)).tolist() == [code]


@given(sizes)
def test_negative_values_mirror_positive_ones(size: float) -> None:
    positive, negative = codes(np.array([size, -size])).tolist()

    assert positive > 0
    assert negative == -positive


def test_zero_has_a_bucket_of_its_own() -> None:
    assert codes(np.array([0.0, -0.0])).tolist() == [0, 0]
    assert representatives(np.array([0], dtype=np.int16)).tolist() == [0.0]


def test_powers_of_two_are_the_upper_ends_of_their_buckets() -> None:
    powers = 2.0 ** np.arange(-20.0, 21.0)

    beyond = codes(powers * (1 + 1e-12))

    assert np.all(beyond == codes(powers) + 1)


@pytest.mark.parametrize("size", [5e-324, 1e-300, 1e300, 1.7e308, np.inf])
def test_values_beyond_the_range_fall_into_the_outermost_bucket(size: float) -> None:
    code = codes(np.array([size, -size]))

    assert abs(int(code[0])) in {1, 32_767}
    assert np.isfinite(representatives(code)).all()


def test_quantiles_of_nothing_are_nan() -> None:
    empty = np.empty(0, dtype=np.int64)

    found = quantiles(np.zeros(2, np.int64), empty.astype(np.int16), empty, (0.5, 0.99))

    assert np.isnan(found).all()


DISTRIBUTIONS: dict[str, Any] = {
    "lognormal": lambda rng, n: rng.lognormal(6, 1.2, n),
    "bimodal": lambda rng, n: np.where(
        rng.random(n) < 0.5, rng.normal(10, 1, n).clip(1), rng.normal(9_000, 300, n).clip(1)
    ),
    "constant": lambda rng, n: np.full(n, 1_234.5),
    "pareto": lambda rng, n: (rng.pareto(0.7, n) + 1) * 3,
    "many zeros": lambda rng, n: np.where(rng.random(n) < 0.6, 0.0, rng.exponential(100, n)),
    "negative": lambda rng, n: -rng.lognormal(2, 2, n),
}


@pytest.mark.parametrize("size", [1, 2, 3, 10, 101, 1_000, 100_000])
@pytest.mark.parametrize("shape", DISTRIBUTIONS)
def test_quantiles_are_within_the_relative_error_of_numpy(shape: str, size: int) -> None:
    exact = DISTRIBUTIONS[shape](np.random.default_rng(size), size)

    found = np.concatenate(quantiles(np.array([size]), *histogram(exact), QUANTILES))

    expected = np.quantile(exact, QUANTILES)
    assert np.all(np.abs(found - expected) <= np.abs(expected) * (RELATIVE_ERROR + SLACK))


@given(st.lists(sizes, min_size=1, max_size=200), st.floats(min_value=0, max_value=1))
def test_any_quantile_of_positive_values_is_within_the_relative_error(
    found: list[float], wanted: float
) -> None:
    ((shown,),) = quantiles(np.array([len(found)]), *histogram(found), [wanted])

    expected = np.quantile(np.array(found), wanted)
    assert abs(shown - expected) <= expected * (RELATIVE_ERROR + 1e-9)


def test_histograms_side_by_side_keep_their_own_quantiles() -> None:
    rng = np.random.default_rng(7)
    several = [rng.lognormal(3, 1, 1_000), np.empty(0), rng.lognormal(8, 1, 10), np.empty(0)]
    pairs = [histogram(exact) for exact in several]

    found = quantiles(
        np.array([len(exact) for exact in several]),
        np.concatenate([code for code, _ in pairs]).astype(np.int16),
        np.concatenate([count for _, count in pairs]),
        QUANTILES,
    )

    for number in (0, 2):
        expected = np.quantile(several[number], QUANTILES)
        shown = np.array([each[number] for each in found])
        assert np.all(np.abs(shown - expected) <= expected * (RELATIVE_ERROR + SLACK))
    assert np.isnan([[each[1], each[3]] for each in found]).all()
