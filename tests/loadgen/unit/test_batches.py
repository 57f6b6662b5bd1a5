from datetime import UTC, datetime, timedelta
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from loadgen.batches import MAX_EVENTS, Batcher, Labels, events_of
from loadgen.prompt_cache import Lookup, PromptCache
from loadgen.schedule import Schedule
from loadgen.traces import TraceCall

NOW = datetime(2025, 11, 29, 12, tzinfo=UTC)
LABELS = Labels("chat", "production", "openai", "gpt-4o-mini")


def batcher(run: str = "a", *, max_seconds: float = inf) -> Batcher:
    return Batcher(run, Schedule(NOW, 0.0, 1.0), LABELS, PromptCache(), max_seconds)


def test_call_without_blocks_is_one_event_of_what_the_row_says() -> None:
    assert events_of(TraceCall(0, 374, 44), None, "2025-11-29T12:00:00+00:00", LABELS) == [
        {
            "type": "llm_call",
            "timestamp": "2025-11-29T12:00:00+00:00",
            "operation": "chat",
            "environment": "production",
            "provider": "openai",
            "model": "gpt-4o-mini",
            "input_tokens": 374,
            "output_tokens": 44,
        }
    ]


def test_hit_is_a_call_with_cached_tokens_and_a_cache_event() -> None:
    call, cache = events_of(TraceCall(0, 600, 1, (1, 2)), Lookup(512, None), "t", LABELS)

    assert call["cached_input_tokens"] == 512
    assert (cache["type"], cache["layer"], cache["hit"]) == ("cache", "prompt", True)
    assert "miss_reason" not in cache


def test_miss_says_why() -> None:
    call, cache = events_of(TraceCall(0, 600, 1, (1, 2)), Lookup(0, "cold"), "t", LABELS)

    assert call["cached_input_tokens"] == 0
    assert (cache["hit"], cache["miss_reason"]) == (False, "cold")


def test_calls_with_two_events_each_stay_within_a_batch_and_its_limit() -> None:
    calls = [TraceCall(n, 600, 1, (1, 2)) for n in range(600)]

    batches = list(batcher().batches(calls))

    assert [batch.calls for batch in batches] == [250, 250, 100]
    assert max(len(batch.events) for batch in batches) == MAX_EVENTS


def test_live_batch_is_closed_after_its_time_and_due_with_its_last_call() -> None:
    calls = [TraceCall(offset, 1, 1) for offset in (0, 0.125, 0.25, 0.375, 9)]

    batches = list(batcher(max_seconds=0.25).batches(calls))

    assert [(batch.calls, batch.due_seconds) for batch in batches] == [
        (3, 0.25),
        (1, 0.375),
        (1, 9),
    ]


def test_calls_are_stamped_in_utc_by_the_schedule() -> None:
    (batch,) = batcher().batches([TraceCall(1.5, 1, 1)])

    assert batch.events[0]["timestamp"] == "2025-11-29T12:00:01.500000+00:00"
    assert timedelta(seconds=batch.due_seconds) == timedelta(seconds=1.5)


@given(st.lists(st.floats(0, 100), max_size=1200), st.sampled_from([0.25, 10, inf]))
def test_every_call_is_in_one_batch_in_order(offsets: list[float], max_seconds: float) -> None:
    calls = [TraceCall(offset, n, 1) for n, offset in enumerate(offsets)]

    batches = list(batcher(max_seconds=max_seconds).batches(calls))

    events = [event for batch in batches for event in batch.events]
    assert [event["input_tokens"] for event in events] == list(range(len(offsets)))
    assert all(0 < len(batch.events) <= MAX_EVENTS for batch in batches)


def test_batch_ids_are_those_of_the_run_and_no_other() -> None:
    calls = [TraceCall(n, 1, 1) for n in range(1001)]

    first, again, other = (
        [batch.batch_id for batch in batcher(run).batches(calls)] for run in ("a", "a", "b")
    )

    assert first == again
    assert len({*first, *other}) == 6
