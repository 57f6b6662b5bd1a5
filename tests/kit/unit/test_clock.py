from datetime import UTC, datetime, timedelta

from windsock_kit.clock import Clock, utc_now
from windsock_kit.testing import FakeClock


def test_real_clock_tells_utc() -> None:
    clock: Clock = utc_now

    assert clock().utcoffset() == timedelta(0)


def test_fake_clock_moves_only_when_told_to() -> None:
    fake = FakeClock(datetime(2025, 11, 29, tzinfo=UTC))
    clock: Clock = fake

    before = clock()
    fake.advance(90)

    assert clock() - before == timedelta(seconds=90)
    assert fake.monotonic() == 90
