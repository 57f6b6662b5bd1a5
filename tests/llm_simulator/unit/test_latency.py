from __future__ import annotations

import math
from itertools import pairwise

import pytest

from llm_simulator.domain.catalogue import MODELS
from llm_simulator.domain.latency import latency, slowdown

EXP, LITE = MODELS["gemini-2.0-flash-exp"], MODELS["gemini-2.0-flash-lite"]
EMBEDDINGS = MODELS["text-embedding-004"]


def test_median_call_takes_what_the_model_says() -> None:
    drawn = latency(EXP, 0.0, uncached_tokens=0, load=1.0)

    assert drawn.after_ms(0) == 350
    assert drawn.after_ms(100) == 350 + 100 * 5


def test_draw_moves_the_first_token_lognormally() -> None:
    slow = latency(EXP, 1.0, uncached_tokens=0, load=1.0)
    quick = latency(EXP, -1.0, uncached_tokens=0, load=1.0)

    assert slow.after_ms(0) == pytest.approx(350 * math.exp(0.35))
    assert slow.after_ms(0) * quick.after_ms(0) == pytest.approx(350**2)


def test_uncached_input_takes_time_and_cached_input_takes_none() -> None:
    all_new = latency(EXP, 0.0, uncached_tokens=3_000, load=1.0)
    half_new = latency(EXP, 0.0, uncached_tokens=1_500, load=1.0)

    assert all_new.after_ms(0) == 350 + 3 * 40
    assert half_new.after_ms(0) == 350 + 1.5 * 40


def test_slow_first_token_slows_nothing_else() -> None:
    slow = latency(EXP, 0.0, uncached_tokens=1_000, load=1.0, first_token_factor=4.0)

    assert slow.after_ms(0) == 4 * 350 + 40
    assert slow.after_ms(10) - slow.after_ms(0) == 50


def test_lite_model_and_embeddings_have_their_own_pace() -> None:
    lite = latency(LITE, 0.0, uncached_tokens=0, load=1.0)
    embeddings = latency(EMBEDDINGS, 0.0, uncached_tokens=0, load=1.0)

    assert (lite.after_ms(0), lite.after_ms(10)) == (260, 300)
    assert embeddings.after_ms(0) == 120


def test_load_slows_everything_down_more_and_more() -> None:
    factors = [slowdown(busy, 64) for busy in range(1, 65)]
    steps = [later - earlier for earlier, later in pairwise(factors)]

    assert factors[0] == 1
    assert factors[-1] == pytest.approx(1.5, abs=0.02)
    assert steps == sorted(steps)
    assert latency(EXP, 0.0, uncached_tokens=500, load=1.5).after_ms(20) == pytest.approx(
        1.5 * latency(EXP, 0.0, uncached_tokens=500, load=1.0).after_ms(20)
    )
