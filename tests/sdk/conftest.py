from collections.abc import Callable, Iterator

import pytest

import windsock
from tests.sdk.receiver import Receiver, receiving
from windsock.testing import Captured, capture


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def captured() -> Iterator[Captured]:
    with capture() as captured:
        yield captured


@pytest.fixture
def collector_for() -> Iterator[Callable[..., windsock.MetricsCollector]]:
    """Make collectors with given settings, closed at the end."""
    collectors = []

    def make(**settings: object) -> windsock.MetricsCollector:
        usual = {"flush_interval_seconds": 0.02, "timeout_seconds": 5.0}
        collector = windsock.MetricsCollector(windsock.Settings().changed(usual | settings))
        collectors.append(collector)
        return collector

    yield make
    for collector in collectors:
        collector.close(0.5)
