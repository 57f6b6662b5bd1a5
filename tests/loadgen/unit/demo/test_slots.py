from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest

from loadgen.demo.application import Application
from loadgen.demo.events import Cache, Exposure, LlmCall, Performance, Quality
from loadgen.demo.slots import SLOT, History, Slot
from loadgen.demo.story import DAY, HOUR, Story, chapters
from tests.loadgen.unit.demo.walks import END, STORY, TOLD

SMALL = Story(requests_per_day=200)
NODES = {
    "start",
    "parse_gap",
    "batch_generate",
    "finalize",
    "embed_gap",
    "search_similar_questions",
    "search_learning_resources_node_async",
    "vector_search",
    "generate_deep_dive_prompts_node_async",
    "generate_question",
    "evaluate_quality_node_async",
    "refine_answer_node_async",
}
ROUTES = {
    f"POST /api/adaptive-questions/{path}"
    for path in ("batch-generate", "generate", "generate/stream", "evaluate", "refine")
}


def slots(story: Story, begin: datetime, end: datetime, *, days: int = 14) -> list[Slot]:
    told = chapters(story, days=days, end=END)
    return list(History(story, told, Application()).slots(begin, end))


def encoded(made: list[Slot]) -> list[bytes]:
    return [msgspec.json.encode([slot.batch_id, slot.events]) for slot in made]


@pytest.fixture(scope="module")
def two_days() -> list[Slot]:
    return slots(STORY, TOLD.deployment - DAY, TOLD.deployment + DAY)


def test_batches_are_the_same_whenever_they_are_made() -> None:
    begin = END - DAY

    whole = slots(SMALL, begin, END)
    part = slots(SMALL, begin + 5 * HOUR, END - 2 * HOUR)

    assert len(whole) == 48
    assert encoded(whole) == encoded(slots(SMALL, begin, END))
    assert encoded(part) == encoded(whole)[10:44]


def test_ids_are_those_of_the_seed_and_the_half_hour() -> None:
    begin = END - DAY
    ids = [slot.batch_id for slot in slots(SMALL, begin, END)]

    assert len(set(ids)) == len(ids)
    shorter = replace(SMALL, requests_per_day=100.0)
    assert [slot.batch_id for slot in slots(shorter, begin, END, days=7)] == ids
    other_seed = slots(replace(SMALL, seed=2), begin, END)
    assert not {slot.batch_id for slot in other_seed} & set(ids)


def test_events_lie_in_their_half_hour_or_end_shortly_after() -> None:
    for slot in slots(SMALL, END - DAY, END):
        for event in slot.events:
            assert slot.begins <= event.timestamp < slot.begins + SLOT + timedelta(minutes=5)


def test_largest_batch_fits_into_what_a_suite_takes(two_days: list[Slot]) -> None:
    month_end = datetime(2026, 11, 20, 17, tzinfo=UTC)
    told = chapters(STORY, days=30, end=month_end)
    last_afternoon = History(STORY, told, Application()).slots(month_end - 10 * HOUR, month_end)

    assert max(len(slot.events) for slot in [*two_days, *last_afternoon]) < 5_000


def test_history_has_the_size_that_it_is_said_to_have(two_days: list[Slot]) -> None:
    requests = sum(slot.requests for slot in two_days)
    events = sum(len(slot.events) for slot in two_days)

    # The two days are Sunday and Monday, half of each, and thereby below the average.
    assert 0.5 < requests / (2 * STORY.requests_per_day) < 1
    assert 20 < events / requests < 30


def test_operations_are_those_of_the_workload(two_days: list[Slot]) -> None:
    events = [event for slot in two_days for event in slot.events]
    runs = {event.operation for event in events if isinstance(event, Performance)}

    assert runs == NODES | ROUTES
    assert {event.operation for event in events} - {None} == NODES | ROUTES
    assert {event.operation for event in events if isinstance(event, Quality)} == {
        "evaluate_quality_node_async"
    }
    assert {event.evaluator for event in events if isinstance(event, Quality)} == {
        f"{stage}:{rubric}_rubric"
        for stage in ("first_pass", "after_refinement", "on_request")
        for rubric in ("standard", "advanced")
    }


def test_every_event_has_its_user_and_those_of_nodes_priority_and_flags(
    two_days: list[Slot],
) -> None:
    for event in (event for slot in two_days for event in slot.events):
        assert event.user_id.startswith("user-")
        assert event.session_id.startswith(f"{event.user_id}-")
        if event.operation in NODES:
            assert event.gap_priority in {"CRITICAL", "HIGH", "MEDIUM", "LOW"}
            assert len(msgspec.json.decode(event.flags)) == 9


def test_every_request_is_timed_as_a_whole_and_in_its_steps(two_days: list[Slot]) -> None:
    for slot in two_days:
        found = Counter(e.operation for e in slot.events if isinstance(e, Performance))
        assert sum(found[route] for route in ROUTES) == found["start"] == slot.requests


def test_provider_keeps_prompts_from_1024_tokens_on_in_steps_of_128(two_days: list[Slot]) -> None:
    calls = [e for slot in two_days for e in slot.events if isinstance(e, LlmCall)]

    kept = {call.cached_input_tokens for call in calls}

    assert kept == {0, 1024 + 4 * 128, 1024 + 5 * 128}
    assert all(call.cached_input_tokens <= call.input_tokens for call in calls)


def test_each_answered_prompt_is_a_look_up_in_the_providers_cache(two_days: list[Slot]) -> None:
    for slot in two_days:
        for event, following in pairwise(slot.events):
            if isinstance(event, LlmCall) and event.output_tokens:
                assert isinstance(following, Cache)
                assert (following.layer, following.hit) == ("prompt", event.cached_input_tokens > 0)


def test_request_fails_as_http_says_it_or_as_its_stream_that_had_begun() -> None:
    troubled = slots(STORY, TOLD.trouble, TOLD.trouble + HOUR)
    requests = [e for slot in troubled for e in slot.events if e.operation in ROUTES]
    route = "POST /api/adaptive-questions/generate"

    said = {
        (e.operation, e.status, e.error_type, msgspec.json.decode(e.attributes)["http_status"])
        for e in requests
        if isinstance(e, Performance) and e.operation in {route, f"{route}/stream"}
    }

    assert said == {
        (route, "ok", None, 200),
        (route, "error", "HTTP 503", 503),
        (route, "error", "HTTP 504", 504),
        (f"{route}/stream", "ok", None, 200),
        (f"{route}/stream", "error", "rate_limited", 200),
        (f"{route}/stream", "error", "provider_timeout", 200),
    }


def test_variants_are_told_once_a_day_for_each_user(two_days: list[Slot]) -> None:
    seen = Counter(
        (event.timestamp.date(), event.flag_key, event.targeting_key)
        for slot in two_days
        for event in slot.events
        if isinstance(event, Exposure)
    )
    active = {
        (event.timestamp.date(), event.user_id)
        for slot in two_days
        for event in slot.events
        if not isinstance(event, Exposure) and event.operation == "start"
    }

    assert set(seen.values()) == {1}
    told = {(date, user) for date, _, user in seen}
    monday = TOLD.deployment.date()
    assert {pair for pair in told if pair[0] == monday} == {
        pair for pair in active if pair[0] == monday
    }


def test_new_version_costs_more_from_its_hour_on(two_days: list[Slot]) -> None:
    def prompt(slot: Slot) -> list[int]:
        return [e.input_tokens for e in slot.events if isinstance(e, LlmCall) and e.output_tokens]

    before = [
        tokens for slot in two_days if slot.begins < TOLD.deployment for tokens in prompt(slot)
    ]
    after = [
        tokens for slot in two_days if slot.begins >= TOLD.deployment for tokens in prompt(slot)
    ]

    assert min(after) > sum(before) / len(before)
