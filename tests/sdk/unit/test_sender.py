import gzip
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import time

import pytest

from windsock.buffer import Buffer, Marker, Record
from windsock.counters import Counters
from windsock.encoding import Batch
from windsock.sender import Sender
from windsock.settings import Settings
from windsock.transport import Delivered, Outcome, Refused, TryAgain


class ScriptedTransport:
    """Answers what it is told to, then that all went well."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.sent: list[Batch] = []
        self.before: Callable[[], None] = lambda: None

    def send(self, batch: Batch, timeout_seconds: float) -> Outcome:
        assert timeout_seconds > 0
        self.before()
        self.sent.append(batch)
        return self.outcomes.pop(0) if self.outcomes else Delivered()

    def close(self) -> None:
        return

    forget_after_fork = close


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Rig:
    def __init__(
        self, *outcomes: Outcome, settings: Settings | None = None, start: bool = True
    ) -> None:
        self.transport = ScriptedTransport(*outcomes)
        self.clock = Clock()
        self.counters = Counters()
        self.buffer = Buffer(1_000, lambda *_: None)
        self.sender = Sender(
            self.buffer,
            self.transport,
            settings or Settings(),
            self.counters,
            clock=self.clock,
            jitter=lambda failures: 0.5 * 2.0 ** (failures - 1),
        )
        if start:
            self.sender.open_spool()

    def record(self, *operations: str) -> None:
        for operation in operations:
            record: Record = (time(), operation, None, 1_500_000)
            self.buffer.events.append(record)

    def flush(self) -> Marker:
        marker = Marker()
        self.buffer.events.append(marker)
        return marker

    def operations(self) -> list[list[str]]:
        bodies = [json.loads(gzip.decompress(batch.body)) for batch in self.transport.sent]
        return [[event["operation"] for event in body["events"]] for body in bodies]


def test_events_go_out_in_order_and_in_bounded_batches() -> None:
    rig = Rig(settings=Settings(max_batch_events=2))
    rig.record("a", "b", "c", "d", "e")

    wait = rig.sender.run_once()

    assert rig.operations() == [["a", "b"], ["c", "d"], ["e"]]
    assert len({batch.batch_id for batch in rig.transport.sent}) == 3
    assert wait == Settings().flush_interval_seconds
    assert rig.sender.finished


def test_the_body_names_the_batch() -> None:
    rig = Rig()
    rig.record("a")

    rig.sender.run_once()

    [batch] = rig.transport.sent
    body = json.loads(gzip.decompress(batch.body))
    assert body["batch_id"] == batch.batch_id
    assert body["events"][0]["duration_ms"] == 1.5


def test_what_comes_in_meanwhile_waits_for_a_full_batch() -> None:
    rig = Rig()
    rig.record("a")
    rig.transport.before = lambda: rig.record("late")

    rig.sender.run_once()

    assert rig.operations() == [["a"]]
    assert len(rig.buffer.events) == 1


def test_a_retry_sends_the_same_bytes_when_the_backoff_is_over() -> None:
    rig = Rig(TryAgain("HTTP 503"), TryAgain("HTTP 503"))
    rig.record("a")

    waits = [rig.sender.run_once()]
    rig.sender.run_once()
    assert len(rig.transport.sent) == 1
    rig.clock.now += 0.5
    waits.append(rig.sender.run_once())
    rig.clock.now += 1.0
    rig.sender.run_once()

    assert waits == [0.5, 1.0]
    assert len(rig.transport.sent) == 3
    assert len(set(rig.transport.sent)) == 1
    stats = rig.counters.stats(buffered=0, spooled_batches=0)
    assert (stats.accepted, stats.retries, stats.batches) == (1, 2, 1)


def test_retry_after_is_honoured_even_when_flushing() -> None:
    rig = Rig(TryAgain("HTTP 429", after_seconds=30.0))
    rig.record("a")

    assert rig.sender.run_once() == 30.0
    rig.sender.hurry()
    rig.clock.now += 29.0
    rig.sender.run_once()
    assert len(rig.transport.sent) == 1
    rig.clock.now += 1.0
    rig.sender.run_once()

    assert len(rig.transport.sent) == 2


def test_flushing_cuts_the_backoff_short() -> None:
    rig = Rig(TryAgain("ConnectionRefusedError"))
    rig.record("a")
    rig.sender.run_once()

    rig.sender.hurry()
    rig.sender.run_once()

    assert len(rig.transport.sent) == 2


def test_a_refused_batch_is_dropped_counted_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(Refused("HTTP 401, no such key"))
    rig.record("a", "b")

    with caplog.at_level(logging.WARNING, "windsock"):
        rig.sender.run_once()

    assert rig.counters.dropped() == {"refused": 2}
    assert rig.sender.finished
    assert "a batch of 2 events was refused: HTTP 401, no such key" in caplog.text
    assert "events dropped so far: refused 2" in caplog.text


def test_rejected_events_are_counted_and_the_first_is_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rejected = ("events[1].duration_ms: must be >= 0", "events[2].operation: is missing")
    rig = Rig(Delivered(rejected))
    rig.record("a", "b", "c")

    with caplog.at_level(logging.WARNING, "windsock"):
        rig.sender.run_once()

    stats = rig.counters.stats(buffered=0, spooled_batches=0)
    assert (stats.accepted, stats.rejected, stats.dropped_total) == (1, 2, 0)
    assert "2 of 3 events were rejected, the first: events[1].duration_ms" in caplog.text


def test_warnings_of_one_kind_come_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(*[Refused("HTTP 400")] * 4)

    with caplog.at_level(logging.WARNING, "windsock"):
        for _ in range(3):
            rig.record("a")
            rig.sender.run_once()
        assert caplog.text.count("was refused") == 1
        rig.clock.now += 60.0
        rig.record("a")
        rig.sender.run_once()

    assert "HTTP 400 (2 more like it since the last warning)" in caplog.text


def test_a_record_that_cannot_be_encoded_does_not_hold_up_the_others() -> None:
    rig = Rig()
    rig.record("a", "")
    rig.buffer.events.append((float("nan"), "b", None, 1))
    rig.record("c")

    rig.sender.run_once()

    assert rig.operations() == [["a", "c"]]
    assert rig.counters.dropped() == {"invalid": 2}


def test_metadata_cut_by_the_sender_is_counted_once() -> None:
    rig = Rig()
    rig.buffer.events.append((time(), "a", None, (1, {"ratio": float("nan")}, ())))

    rig.sender.run_once()
    rig.record("b")
    rig.sender.run_once()

    assert rig.operations() == [["a"], ["b"]]
    stats = rig.counters.stats(buffered=0, spooled_batches=0)
    assert stats.truncated == 1


def test_a_flush_is_reached_when_all_before_it_is_answered() -> None:
    rig = Rig(TryAgain("HTTP 503"))
    rig.record("a")
    marker = rig.flush()

    rig.sender.run_once()
    assert not marker.reached.is_set()
    rig.clock.now += 1.0
    rig.sender.run_once()
    rig.sender.run_once()

    assert marker.reached.is_set()


def test_places_held_by_a_large_event_are_no_events() -> None:
    rig = Rig()
    rig.buffer.append((time(), "large", None, 1), 3)
    rig.record("a")

    rig.sender.run_once()

    assert rig.operations() == [["large", "a"]]


@pytest.fixture
def spooling(tmp_path: Path) -> Settings:
    return replace(Settings(), spool_dir=tmp_path / "spool", max_batch_events=1)


def test_batches_that_cannot_be_sent_go_to_disk_and_come_back(spooling: Settings) -> None:
    rig = Rig(TryAgain("ConnectionRefusedError"), settings=spooling)
    rig.record("a", "b")
    marker = rig.flush()

    rig.sender.run_once()
    assert rig.sender.spooled() == 2
    assert not rig.buffer.events
    rig.clock.now += 1.0
    rig.record("c")
    rig.sender.run_once()

    assert rig.operations() == [["a"], ["c"], ["a"], ["b"]]
    assert rig.transport.sent[0] == rig.transport.sent[2]
    assert rig.sender.finished
    assert marker.reached.is_set()


def test_a_refused_batch_leaves_the_spool(spooling: Settings) -> None:
    rig = Rig(TryAgain("ConnectionRefusedError"), Refused("HTTP 422"), settings=spooling)
    rig.record("a")
    rig.sender.run_once()
    rig.clock.now += 1.0

    rig.sender.run_once()

    assert rig.counters.dropped() == {"refused": 1}
    assert rig.sender.spooled() == 0


def test_a_spool_that_cannot_be_written_leaves_the_batch_in_memory(spooling: Settings) -> None:
    rig = Rig(TryAgain("ConnectionRefusedError"), settings=spooling)
    assert spooling.spool_dir is not None
    spooling.spool_dir.rmdir()
    spooling.spool_dir.touch()
    rig.record("a")

    rig.sender.run_once()
    rig.clock.now += 1.0
    rig.sender.run_once()

    assert rig.operations() == [["a"], ["a"]]
    assert rig.counters.dropped() == {}


def test_a_spool_that_cannot_be_made_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()

    with caplog.at_level(logging.WARNING, "windsock"):
        rig = Rig(settings=Settings(spool_dir=tmp_path / "file" / "spool"))
    rig.record("a")
    rig.sender.run_once()

    assert "no spool in" in caplog.text
    assert rig.operations() == [["a"]]


def test_giving_up_puts_everything_on_disk(spooling: Settings) -> None:
    rig = Rig(TryAgain("ConnectionRefusedError"), settings=spooling)
    rig.record("a", "b")

    rig.sender.give_up()

    assert rig.transport.sent == []
    assert rig.sender.spooled() == 2


def test_giving_up_before_the_first_step_uses_the_spool_too(spooling: Settings) -> None:
    rig = Rig(settings=spooling, start=False)
    rig.record("a")

    rig.sender.give_up()

    assert rig.sender.spooled() == 1


def test_giving_up_without_a_spool_drops_and_counts() -> None:
    rig = Rig(TryAgain("ConnectionRefusedError"), settings=Settings(max_batch_events=2))
    rig.record("a", "b", "c")
    rig.sender.run_once()

    rig.sender.give_up()

    assert rig.counters.dropped() == {"closed": 3}


def test_giving_up_during_a_request_leaves_its_answer_aside(spooling: Settings) -> None:
    rig = Rig(settings=spooling)
    rig.record("a")
    rig.transport.before = rig.sender.give_up

    rig.sender.run_once()

    assert rig.sender.spooled() == 1
    assert rig.counters.stats(buffered=0, spooled_batches=0).accepted == 0


def test_closing_is_over_when_the_next_try_would_come_too_late() -> None:
    rig = Rig(TryAgain("HTTP 503", after_seconds=30.0))
    rig.record("a")
    rig.sender.hurry(deadline=rig.clock.now + 2.0)

    wait = rig.sender.run_once()

    assert rig.sender.is_over(wait)


def test_closing_waits_for_a_try_that_comes_in_time() -> None:
    rig = Rig(TryAgain("ConnectionResetError"))
    rig.record("a")
    rig.sender.hurry(deadline=rig.clock.now + 2.0)

    wait = rig.sender.run_once()

    assert not rig.sender.is_over(wait)
