"""What follows from the results of probes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from metrics_svc.domain.health import Overall, ProbeResult, ProbeStatus, aged, overall

T0 = datetime(2025, 1, 1, tzinfo=UTC)


def result(target: str, status: ProbeStatus) -> ProbeResult:
    return ProbeResult(target, "tcp", status, 1.5, T0)


@pytest.mark.parametrize(
    ("store_up", "store", "other", "lag", "expected"),
    [
        pytest.param(True, "up", "up", 0.0, "healthy", id="all is well"),
        pytest.param(False, "down", "up", 0.0, "unhealthy", id="no store"),
        pytest.param(False, "up", "down", 0.0, "unhealthy", id="no store, not probed yet"),
        pytest.param(True, "up", "down", 0.0, "degraded", id="something else is down"),
        pytest.param(True, "up", "up", 11.0, "degraded", id="events wait long"),
        pytest.param(True, "up", "unknown", 0.0, "unknown", id="nobody knows"),
        pytest.param(True, "unknown", "up", 0.0, "healthy", id="the store answers just now"),
        pytest.param(True, "down", "up", 0.0, "healthy", id="the store is back"),
    ],
)
def test_worst_that_holds_is_the_status_of_the_whole(
    *, store_up: bool, store: ProbeStatus, other: ProbeStatus, lag: float, expected: Overall
) -> None:
    results = [result("postgresql", store), result("other", other)]

    assert overall(results, store_up=store_up, lag_seconds=lag) == expected


def test_known_fault_is_told_though_something_is_unknown() -> None:
    results = [result("a", "unknown"), result("b", "down")]

    assert overall(results, store_up=True, lag_seconds=0) == "degraded"


def test_result_counts_for_a_while() -> None:
    found = result("a", "up")

    assert aged(found, T0 + timedelta(seconds=30), timedelta(seconds=30)) is found


def test_old_result_says_nothing_any_more() -> None:
    found = aged(result("a", "up"), T0 + timedelta(seconds=31), timedelta(seconds=30))

    assert (found.status, found.latency_ms, found.checked_at) == ("unknown", None, T0)
    assert found.detail == "the last check is too old"


def test_target_without_a_check_is_unknown() -> None:
    found = aged(ProbeResult("a", "tcp"), T0, timedelta(0))

    assert (found.status, found.detail) == ("unknown", None)
