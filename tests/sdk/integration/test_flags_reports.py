"""What a process tells the service of its flags."""

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

import windsock
from tests.sdk.flag_service import PATIENCE_SECONDS, Document, FlagService, flag_service, switch
from windsock.endpoint import Endpoint
from windsock.flags.client import FeatureFlags
from windsock.flags.reporting import Applied, Cell, Reporter, Usage
from windsock.testing import Captured

SPLIT = {
    "key": "split",
    "type": "string",
    "variants": {"a": "A", "b": "B"},
    "fallthrough": {"split": {"a": 1, "b": 1}},
}
APPLIED = Applied("production", "e1", 3, 0.5)


@pytest.fixture
def service() -> Iterator[FlagService]:
    with flag_service(switch("f"), SPLIT) as service:
        yield service


@pytest.fixture
def client(service: FlagService, captured: Captured) -> Iterator[FeatureFlags]:
    client = FeatureFlags(windsock.get_metrics_collector())
    client.configure(windsock.Settings(endpoint=service.url))
    yield client
    assert client.close(PATIENCE_SECONDS)


def reported(revision: int) -> Callable[[list[Document]], bool]:
    return lambda reports: any(report["revision"] == revision for report in reports)


def test_what_is_in_force_is_reported_soon(service: FlagService, client: FeatureFlags) -> None:
    assert client.ready(PATIENCE_SECONDS)
    service.wait_for_reports(reported(1))
    service.change(switch("f", on=False))
    service.wait_for_reports(reported(2))

    first, last = service.reports[0], service.reports[-1]
    assert first["instance"] == last["instance"]
    assert len(first["instance"]) == 32
    assert (last["kind"], last["environment"], last["epoch"]) == ("sdk", "production", "e1")
    assert "pytest" in last["name"] or "python" in last["name"]
    assert 0 <= last["applied_age_seconds"] < PATIENCE_SECONDS
    assert last["sequence"] > first["sequence"]


def test_evaluations_are_counted_by_variant(service: FlagService, client: FeatureFlags) -> None:
    assert client.ready(PATIENCE_SECONDS)
    asked = Counter(client.variant("split", f"u-{number}") for number in range(20))
    for _ in range(5):
        client.is_enabled("f")
        client.value("split", default="")
    service.change(switch("f", on=False))
    service.wait_for_reports(reported(2))
    client.is_enabled("f")
    assert client.close(PATIENCE_SECONDS)

    wanted = {
        ("split", "a"): asked["a"],
        ("split", "b"): asked["b"],
        ("split", None): 5,
        ("f", "on"): 5,
        ("f", "off"): 1,
    }
    service.wait_for_reports(lambda reports: counted(reports) == wanted)


def counted(reports: list[Document]) -> Counter[tuple[str, str | None]]:
    """Add up as the service does: what comes twice under one number counts once."""
    told: Counter[tuple[str, str | None]] = Counter()
    for report in {report["sequence"]: report for report in reports}.values():
        for each in report["evaluations"]:
            told[each["flag"], each["variant"]] += each["count"]
    return told


def test_the_last_report_takes_leave(service: FlagService, client: FeatureFlags) -> None:
    assert client.ready(PATIENCE_SECONDS)
    service.wait_for_reports(reported(1))

    assert client.close(PATIENCE_SECONDS)

    service.wait_for_reports(lambda reports: reports[-1]["ended"])
    last = service.reports[-1]["sequence"]
    assert all(report["ended"] == (report["sequence"] == last) for report in service.reports)


@pytest.fixture
def usage() -> Usage:
    usage = Usage()
    cell = Cell("f", "on")
    cell.count = 3
    usage.count_in(cell)
    return usage


def test_a_report_that_may_be_lost_is_sent_again_as_it_was(
    service: FlagService, usage: Usage
) -> None:
    service.report_statuses.extend([503, 429])
    reporter = Reporter(Endpoint(service.url), usage)

    sent = [reporter.send(APPLIED) for _ in range(4)]
    reporter.close()

    assert sent == [False, False, True, True]
    assert [report["sequence"] for report in service.reports] == [1, 1, 1, 2]
    assert [len(report["evaluations"]) for report in service.reports] == [1, 1, 1, 0]


def test_a_report_that_is_refused_is_not_sent_again(
    service: FlagService, usage: Usage, caplog: pytest.LogCaptureFixture
) -> None:
    service.report_statuses.append(422)
    reporter = Reporter(Endpoint(service.url), usage)

    answered = [(reporter.send(APPLIED), reporter.works) for _ in range(2)]
    reporter.close()

    assert answered == [(True, False), (True, True)]
    assert [report["sequence"] for report in service.reports] == [1, 2]
    assert "a report on flags was refused: HTTP 422" in caplog.text


def test_nobody_hears_of_reports_that_cannot_be_sent(
    usage: Usage, caplog: pytest.LogCaptureFixture
) -> None:
    with flag_service() as gone:
        reporter = Reporter(Endpoint(gone.url), usage)

    assert not reporter.send(APPLIED)
    assert not reporter.works
    assert caplog.text == ""
