from datetime import UTC, datetime

import pytest

from windsock.retry import CAP_SECONDS, full_jitter, retry_after_seconds

NOW = datetime(2025, 11, 29, 12, 0, 0, tzinfo=UTC)


def test_the_bound_of_the_jitter_doubles_up_to_a_cap() -> None:
    bounds = [full_jitter(failures, lambda _, high: high) for failures in range(1, 10)]

    assert bounds == [0.5, 1, 2, 4, 8, 16, CAP_SECONDS, CAP_SECONDS, CAP_SECONDS]


def test_the_jitter_is_spread_from_nothing_to_the_bound() -> None:
    waits = [full_jitter(4) for _ in range(2_000)]

    assert min(waits) < 0.2
    assert max(waits) > 3.8
    assert max(waits) <= 4.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("99999999999999999999", 3600.0),
        ("Sat, 29 Nov 2025 12:00:30 GMT", 30.0),
        ("Sat, 29 Nov 2025 11:00:00 GMT", 0.0),
        ("Sat, 29 Nov 2025 23:00:00 GMT", 3600.0),
        ("soon", None),
        ("-3", None),
        ("1.5", None),
        (None, None),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, NOW) == seconds
