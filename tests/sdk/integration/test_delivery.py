import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

import windsock
from tests.sdk.receiver import STORED_BUT_CUT, Answer, Receiver, receiving

MakeCollector = Callable[..., windsock.MetricsCollector]


def test_events_arrive_as_the_service_wants_them(
    receiver: Receiver, collector_for: MakeCollector
) -> None:
    collector = collector_for(endpoint=receiver.url, api_key="wsk_key", environment="staging")

    collector.record_quality("evaluate", 7.5)

    assert collector.flush(5)
    [event] = receiver.events
    [request] = receiver.requests
    assert request["path"] == "/api/metrics/events"
    assert request["Authorization"] == "Bearer wsk_key"
    assert request["Content-Encoding"] == "gzip"
    assert request["Content-Type"] == "application/json"
    assert event["environment"] == "staging"
    age = datetime.now(UTC) - datetime.fromisoformat(event["timestamp"])
    assert timedelta() <= age < timedelta(seconds=10)
    assert collector.stats() == windsock.Stats(accepted=1, batches=1, dropped={})


def test_one_connection_serves_many_batches(
    receiver: Receiver, collector_for: MakeCollector
) -> None:
    collector = collector_for(endpoint=receiver.url, max_batch_events=10)
    before = threading.active_count()

    for n in range(50):
        collector.record_quality("evaluate", n % 10)
    assert collector.flush(5)

    assert len(receiver.attempts) == 5
    # Of ours the sender; of the receiver's one for each connection.
    assert threading.active_count() - before == 2


def test_a_connection_that_went_stale_is_opened_again_at_once(
    receiver: Receiver, collector_for: MakeCollector
) -> None:
    collector = collector_for(endpoint=receiver.url)
    receiver.answers.append(Answer())
    collector.record_quality("evaluate", 1)
    assert collector.flush(5)

    receiver.answers.append(Answer(cut=True))
    collector.record_quality("evaluate", 2)
    assert collector.flush(5)

    assert len(receiver.events) == 2
    assert collector.stats().retries == 0


@pytest.mark.parametrize(
    "answer",
    [
        Answer(503, {"Retry-After": "0"}),
        Answer(503),
        Answer(502),
        Answer(504),
        Answer(429, {"Retry-After": format_datetime(datetime.now(UTC), usegmt=True)}),
        Answer(cut=True),
        STORED_BUT_CUT,
    ],
    ids=["503-after-0", "503", "502", "504", "429-after-date", "cut", "stored-but-cut"],
)
def test_a_passing_failure_is_tried_again_with_the_same_id(
    receiver: Receiver, collector_for: MakeCollector, answer: Answer
) -> None:
    collector = collector_for(endpoint=receiver.url)
    receiver.answers.append(answer)

    collector.record_quality("evaluate", 7.5)
    receiver.wait_for_attempts(1)
    assert collector.flush(10)

    first, second = receiver.attempts
    assert first == second
    assert len(receiver.events) == 1
    assert collector.stats().dropped_total == 0


def test_retry_after_keeps_the_client_away(
    receiver: Receiver, collector_for: MakeCollector
) -> None:
    collector = collector_for(endpoint=receiver.url)
    receiver.answers.append(Answer(503, {"Retry-After": "600"}))

    collector.record_quality("evaluate", 7.5)
    receiver.wait_for_attempts(1)

    assert not collector.flush(0.3)
    assert len(receiver.attempts) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 415, 422, 500])
def test_a_refusal_is_not_tried_again(
    receiver: Receiver, collector_for: MakeCollector, status: int
) -> None:
    collector = collector_for(endpoint=receiver.url)
    receiver.answers.append(Answer(status, body=b'{"detail": "no"}'))

    collector.record_quality("evaluate", 7.5)
    assert collector.flush(5)

    assert len(receiver.attempts) == 1
    assert collector.stats().dropped == {"refused": 1}


def test_a_redirect_is_not_followed(
    receiver: Receiver, collector_for: MakeCollector, caplog: pytest.LogCaptureFixture
) -> None:
    with receiving() as elsewhere, caplog.at_level(logging.WARNING, "windsock"):
        collector = collector_for(endpoint=receiver.url, api_key="wsk_key")
        receiver.answers.append(Answer(307, {"Location": elsewhere.url}))

        collector.record_quality("evaluate", 7.5)
        assert collector.flush(5)

        assert elsewhere.requests == []
    assert collector.stats().dropped == {"refused": 1}
    assert "HTTP 307" in caplog.text


def test_another_server_at_the_endpoint_is_noticed(
    receiver: Receiver, collector_for: MakeCollector, caplog: pytest.LogCaptureFixture
) -> None:
    collector = collector_for(endpoint=receiver.url)
    receiver.answers.append(Answer(200, body=b"<html>It works!</html>"))

    with caplog.at_level(logging.WARNING, "windsock"):
        collector.record_quality("evaluate", 7.5)
        assert collector.flush(5)

    assert collector.stats().dropped == {"refused": 1}
    assert "is the endpoint right?" in caplog.text


def test_rejected_events_are_counted(receiver: Receiver, collector_for: MakeCollector) -> None:
    collector = collector_for(endpoint=receiver.url)
    rejected = [{"index": 0, "path": "score", "detail": "must be at most 10"}]
    answer = {"accepted": 1, "duplicate": False, "rejected": rejected}
    receiver.answers.append(Answer(body=json.dumps(answer).encode()))

    collector.record_quality("evaluate", 7.5)
    collector.record_quality("evaluate", 7.5)
    assert collector.flush(5)

    assert (collector.stats().accepted, collector.stats().rejected) == (1, 1)


def test_the_key_is_in_no_log_and_no_repr(
    receiver: Receiver, collector_for: MakeCollector, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        collector = collector_for(endpoint=receiver.url, api_key="wsk_key", max_buffer_events=1)
        receiver.answers.extend([Answer(401), Answer(503), Answer(cut=True)])
        for _ in range(4):
            collector.record_quality("evaluate", 7.5)
            collector.flush(0.2)
        collector.close(0)

    shown = [caplog.text, repr(collector), repr(vars(collector.pipeline)), repr(collector.stats())]
    assert caplog.records
    assert not any("wsk_key" in text for text in shown)


def test_without_a_server_memory_is_bounded_and_drops_are_counted(
    collector_for: MakeCollector, caplog: pytest.LogCaptureFixture
) -> None:
    with receiving() as gone:
        port = gone.port
    with caplog.at_level(logging.WARNING, "windsock"):
        collector = collector_for(
            endpoint=f"http://127.0.0.1:{port}", max_buffer_events=100, max_batch_events=50
        )
        for n in range(1_000):
            collector.record_quality("evaluate", n % 10)
        stats = collector.stats()
        assert not collector.close(0)

    # A batch in hand is beside the buffer.
    assert stats.buffered <= 100
    assert 850 <= stats.dropped_total <= 900
    assert collector.stats().dropped_total == 1_000
    assert len(caplog.records) <= 4


def test_every_event_is_either_accepted_or_counted_as_dropped(
    receiver: Receiver, collector_for: MakeCollector
) -> None:
    collector = collector_for(endpoint=receiver.url, max_buffer_events=500, max_batch_events=100)

    def record() -> None:
        for n in range(2_000):
            collector.record_quality("evaluate", n % 10)

    threads = [threading.Thread(target=record) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert collector.flush(10)

    stats = collector.stats()
    assert stats.accepted + stats.dropped_total == 8_000
    assert len(receiver.events) == stats.accepted


async def test_recording_does_not_hold_up_an_event_loop(
    receiver: Receiver, collector_for: MakeCollector
) -> None:
    collector = collector_for(endpoint=receiver.url)
    receiver.usual = Answer(hang=True)

    async def work(n: int) -> None:
        with windsock.context(user_id=f"u{n}"):
            await asyncio.sleep(0)
            collector.record_quality("evaluate", 7.5)

    started = time.perf_counter()
    await asyncio.gather(*(work(n) for n in range(100)))
    taken = time.perf_counter() - started
    receiver.usual = Answer()
    receiver.released.set()

    assert await asyncio.to_thread(collector.flush, 10)
    assert {event["user_id"] for event in receiver.events} == {f"u{n}" for n in range(100)}
    assert taken < 5


def test_closing_sends_what_is_there_and_ends_the_thread(
    receiver: Receiver, collector_for: MakeCollector
) -> None:
    before = set(threading.enumerate())
    collector = collector_for(endpoint=receiver.url, flush_interval_seconds=3_600)
    collector.record_quality("evaluate", 7.5)

    assert collector.close(5)
    assert collector.close(5)

    assert len(receiver.events) == 1
    started = set(threading.enumerate()) - before
    assert "windsock-sender" not in {thread.name for thread in started}


def test_what_is_recorded_after_closing_is_counted(
    receiver: Receiver, collector_for: MakeCollector
) -> None:
    collector = collector_for(endpoint=receiver.url)
    collector.close(1)

    collector.record_quality("evaluate", 7.5)

    assert collector.stats().dropped == {"closed": 1}


def test_closing_a_collector_that_recorded_nothing_is_nothing(
    collector_for: MakeCollector,
) -> None:
    assert collector_for(endpoint="http://127.0.0.1:9").close(5)


def test_closing_is_bounded_while_a_request_hangs(
    receiver: Receiver, collector_for: MakeCollector, tmp_path: Path
) -> None:
    collector = collector_for(endpoint=receiver.url, spool_dir=tmp_path, timeout_seconds=60)
    receiver.answers.append(Answer(hang=True))
    collector.record_quality("evaluate", 7.5)
    receiver.wait_for_attempts(1)

    started = time.monotonic()
    complete = collector.close(0.3)

    assert not complete
    assert time.monotonic() - started < 30
    assert len(list(tmp_path.glob("*.batch"))) == 1
    assert collector.stats().dropped == {}


def test_a_hanging_request_times_out_and_is_tried_again(
    receiver: Receiver, collector_for: MakeCollector
) -> None:
    collector = collector_for(endpoint=receiver.url, timeout_seconds=0.2)
    receiver.answers.append(Answer(hang=True))

    collector.record_quality("evaluate", 7.5)
    receiver.wait_for_events(1)

    assert len(receiver.attempts) == 2
    assert len(set(receiver.attempts)) == 1


def test_the_spool_is_emptied_when_the_service_is_back(
    receiver: Receiver, collector_for: MakeCollector, tmp_path: Path
) -> None:
    collector = collector_for(endpoint=receiver.url, spool_dir=tmp_path, max_batch_events=5)
    receiver.usual = Answer(503)
    for n in range(20):
        collector.record_quality("evaluate", n % 10)
    assert not collector.flush(0.2)
    assert collector.stats().spooled_batches > 0

    receiver.usual = Answer()
    assert collector.flush(10)

    assert len(receiver.events) == 20
    assert list(tmp_path.iterdir()) == []
    assert collector.stats().accepted == 20


def test_two_collectors_share_a_spool_without_sending_twice(
    receiver: Receiver, collector_for: MakeCollector, tmp_path: Path
) -> None:
    down = collector_for(endpoint="http://127.0.0.1:9", spool_dir=tmp_path, max_batch_events=1)
    for n in range(30):
        down.record_quality("evaluate", n % 10)
    down.close(0)

    both = [collector_for(endpoint=receiver.url, spool_dir=tmp_path) for _ in range(2)]
    threads = [threading.Thread(target=collector.flush, args=(10,)) for collector in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    receiver.wait_for_events(30)
    assert len(receiver.attempts) == len(set(receiver.attempts)) == 30


def test_a_disabled_collector_does_nothing(
    receiver: Receiver, collector_for: MakeCollector
) -> None:
    collector = collector_for(endpoint=receiver.url, enabled=False)

    collector.record_quality("evaluate", 7.5)

    assert collector.flush(1)
    assert collector.close(1)
    assert receiver.requests == []
    assert collector.stats() == windsock.Stats(dropped={})
