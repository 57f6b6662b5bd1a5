"""How a source follows a feed: when it tries again, and what it tells."""

import logging
import threading
from collections.abc import Callable

import pytest

from tests.sdk.flag_service import PATIENCE_SECONDS, switch
from windsock.flags.source import Notice
from windsock.flags.versions import NoFlags, Version, from_snapshot
from windsock.flags.watching import FeedError, Hold, Pace, WatchedSource

ONE = from_snapshot({"epoch": "e", "revision": 1, "flags": [switch("f")]})


class Scripted:
    """A feed that does one thing each time that it is listened to, and then says nothing."""

    name = "scripted"

    def __init__(self, *steps: Callable[[Hold], None]) -> None:
        self._steps = list(steps)
        self.over = threading.Event()

    def first(self) -> tuple[Version | NoFlags, bool]:
        return NoFlags("PROVIDER_NOT_READY", "not yet"), False

    def listen(self, hold: Hold) -> None:
        if self._steps:
            self._steps.pop(0)(hold)
            return
        self.over.set()
        hold.stopping.wait(PATIENCE_SECONDS)

    def interrupt(self) -> None:
        return

    def forget_after_fork(self) -> None:
        return


def refused(_: Hold) -> None:
    raise FeedError("refused")


def told_to_wait(_: Hold) -> None:
    raise FeedError("later", after_seconds=0.01)


def broken(_: Hold) -> None:
    raise ZeroDivisionError


def puts(hold: Hold) -> None:
    hold.put(ONE)


def waits(feed: Scripted, *, steady: float = 60.0) -> list[tuple[int, float]]:
    """Return the failures in a row, and the cap, that each wait of a source was drawn from."""
    drawn = []

    def jitter(failures: int, *, cap: float) -> float:
        drawn.append((failures, cap))
        return 0.0

    source = WatchedSource(feed, pace=Pace(steady=steady), jitter=jitter)
    source.start()
    assert feed.over.wait(PATIENCE_SECONDS)
    assert source.close(PATIENCE_SECONDS)
    return drawn


def test_each_failure_in_a_row_lengthens_the_wait() -> None:
    assert waits(Scripted(refused, told_to_wait, puts)) == [(1, 10.0), (2, 10.0), (3, 10.0)]


def test_a_connection_that_lasted_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    assert waits(Scripted(puts, puts, puts), steady=0.0) == [(1, 10.0)] * 3
    assert caplog.text == ""


def test_a_mistake_of_the_feed_does_not_end_the_following(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert len(waits(Scripted(broken, broken, puts))) == 3
    assert "listening for flags failed" in caplog.text


def test_what_happens_is_told_once() -> None:
    source = WatchedSource(Scripted(), pace=Pace(silence=0.0))
    told: list[Notice] = []
    source.told = told.append
    problem = NoFlags("PROVIDER_NOT_READY", "away")

    for _ in range(2):
        source.trouble(problem)
    for _ in range(2):
        source.put(ONE)
    for _ in range(2):
        source.trouble(problem)
    source.heard()

    kinds = [notice.kind for notice in told]
    assert kinds == ["changed", "error", "changed", "changed", "ready", "stale", "ready"]


@pytest.mark.parametrize(("name", "told"), [("redis", "Redis"), ("service", "the service")])
def test_where_flags_come_from_is_told_as_it_is_called(
    name: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "windsock")
    feed = Scripted()
    feed.name = name

    WatchedSource(feed).put(ONE)

    assert caplog.messages == [f"1 flags from {told}"]


def test_nobody_waits_longer_than_told_and_close_ends_the_waiting() -> None:
    source = WatchedSource(Scripted())
    waiting = threading.Thread(target=source.ready, args=(PATIENCE_SECONDS * 10,))
    waiting.start()

    assert not source.ready(0.01)
    assert source.close(PATIENCE_SECONDS)
    waiting.join(PATIENCE_SECONDS)
    assert not waiting.is_alive()
