from __future__ import annotations

import math

from llm_simulator.domain.rate import Bucket, Level


def test_minute_s_worth_is_there_at_once() -> None:
    bucket = Bucket(60, now=0)

    for _ in range(60):
        assert bucket.lacks(1, now=0) == 0
        bucket.take(1, now=0)

    assert bucket.lacks(1, now=0) == 1


def test_bucket_refills_steadily_and_not_beyond_its_limit() -> None:
    bucket = Bucket(600, now=0)
    bucket.take(600, now=0)

    assert bucket.lacks(100, now=0) == 10
    assert bucket.lacks(100, now=4) == 6
    assert bucket.level(now=6) == Level(600, 60, 54)
    assert bucket.level(now=1_000) == Level(600, 600, 0)


def test_what_becomes_known_afterwards_is_owed() -> None:
    bucket = Bucket(60, now=0)
    bucket.take(90, now=0)

    assert bucket.level(now=0).remaining == 0
    assert bucket.lacks(1, now=0) == 31


def test_more_than_the_limit_is_never_there() -> None:
    assert Bucket(60, now=0).lacks(61, now=0) == math.inf


def test_limit_of_zero_is_none() -> None:
    bucket = Bucket(0, now=0)
    bucket.take(10**12, now=0)

    assert bucket.lacks(10**12, now=0) == 0
