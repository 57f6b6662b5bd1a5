from __future__ import annotations

import json
import tracemalloc
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_svc.domain.event import MAX_CONTEXT_BYTES, LlmCall, Performance
from metrics_svc.wire.batch import Batch, Limits, parse_batch
from windsock_kit.errors import BadRequestError, InvalidError, TooLargeError

LIMITS = Limits(5_000, timedelta(days=7), timedelta(minutes=5))
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
RUN = {"type": "performance", "operation": "x", "duration_ms": 1}
CALL = {"type": "llm_call", "operation": "x"}
LOOKUP = {"type": "cache", "operation": "x", "layer": "l1", "hit": True}


def parse(*events: Any) -> Batch:
    return parse_raw(orjson.dumps(list(events)))


def parse_raw(events: bytes) -> Batch:
    return parse_batch(
        b'{"batch_id":"' + ID.encode() + b'","events":' + events + b"}", LIMITS, received=NOW
    )


def refusal(event: Any) -> tuple[str, str]:
    """Return path and detail of the only event, which must be refused."""
    batch = parse(RUN, event)
    assert batch.events
    (rejected,) = batch.rejected
    assert rejected.index == 1
    return rejected.path, rejected.detail


SMALLEST: dict[str, dict[str, Any]] = {
    "performance": RUN,
    "llm_call": CALL,
    "quality": {"type": "quality", "operation": "x"},
    "cache": LOOKUP,
    "exposure": {"type": "exposure", "flag_key": "f", "variant": "v"},
    "probe": {"type": "probe", "target": "t", "kind": "k", "up": False},
}


@pytest.mark.parametrize("kind", SMALLEST)
def test_event_needs_little(kind: str) -> None:
    (event,) = parse(SMALLEST[kind]).events

    assert type(event).__struct_config__.tag == kind
    assert event.timestamp == NOW
    assert event.environment == "production"
    assert event.gap_priority is None


REQUIRED = [(kind, name) for kind, event in SMALLEST.items() for name in event]


@pytest.mark.parametrize(("kind", "name"), REQUIRED)
def test_required_field_that_is_missing_is_named(kind: str, name: str) -> None:
    event = {key: value for key, value in SMALLEST[kind].items() if key != name}

    path, detail = refusal(event)

    assert path == name
    assert "missing required field" in detail


@pytest.mark.parametrize("kind", SMALLEST)
def test_unknown_field_is_named(kind: str) -> None:
    assert refusal(SMALLEST[kind] | {"opperation": "x"})[0] == "opperation"


# Event, field, least and greatest allowed value, just beyond each.
BOUNDS: list[Any] = [
    (RUN, "duration_ms", 0, 604_800_000, -1e-9, 604_800_000.1),
    (CALL, "duration_ms", 0, 604_800_000, -1, 604_800_001),
    (CALL, "input_tokens", 0, 100_000_000, -1, 1_000_000_001),
    (CALL, "reasoning_tokens", 0, 100_000_000, -1, 10**30),
    (CALL, "cost_usd", 0, 10_000, -0.000000001, 10_000.000000001),
    (SMALLEST["quality"], "score", 0, 10, -0.1, 10.1),
    (LOOKUP, "saved_ms", 0, 604_800_000, -1, 604_800_001),
    (LOOKUP, "saved_usd", 0, 10_000, -1, 10_001),
    (SMALLEST["probe"], "latency_ms", 0, 604_800_000, -1, 604_800_001),
]


@pytest.mark.parametrize(
    ("event", "name", "least", "greatest", "below", "above"),
    BOUNDS,
    ids=[f"{b[0]['type']}.{b[1]}" for b in BOUNDS],
)
def test_number_is_bounded_and_the_bound_is_told(
    event: Any, name: str, least: float, greatest: float, below: float, above: float
) -> None:
    good = parse_raw(dumps([event | {name: least}, event | {name: greatest}]))

    batch = parse_raw(dumps([event | {name: below}, event | {name: above}]))

    assert len(good.events) == 2
    assert [(r.index, r.path) for r in batch.rejected] == [(0, name), (1, name)]
    assert all("Expected" in r.detail for r in batch.rejected)


def dumps(value: Any) -> bytes:
    # orjson has no integers beyond 64 bits.
    return json.dumps(value).encode()


TEXTS: list[tuple[str, Any, int]] = [
    ("operation", RUN, 200),
    ("environment", RUN, 200),
    ("gap_priority", RUN, 200),
    ("user_id", RUN, 200),
    ("session_id", RUN, 200),
    ("error_type", RUN, 200),
    ("error_message", RUN, 2_000),
    ("provider", CALL, 200),
    ("model", CALL, 200),
    ("evaluator", SMALLEST["quality"], 200),
    ("flag_key", SMALLEST["exposure"], 200),
    ("variant", SMALLEST["exposure"], 200),
    ("targeting_key", SMALLEST["exposure"], 200),
    ("target", SMALLEST["probe"], 200),
    ("kind", SMALLEST["probe"], 200),
    ("detail", SMALLEST["probe"], 2_000),
]


@pytest.mark.parametrize(("name", "event", "longest"), TEXTS, ids=[t[0] for t in TEXTS])
def test_text_is_bounded_in_characters_and_the_bound_is_told(
    name: str, event: Any, longest: int
) -> None:
    good = parse(event | {name: "😀" * longest})

    path, detail = refusal(event | {name: "a" * (longest + 1)})

    assert len(good.events) == 1
    assert path == name
    assert str(longest) in detail


@pytest.mark.parametrize("name", ["operation", "environment", "user_id", "gap_priority"])
def test_names_are_not_empty(name: str) -> None:
    assert refusal(RUN | {name: ""})[0] == name


WRONG_TYPES: list[tuple[Any, str, Any]] = [
    (RUN, "duration_ms", "1"),
    (RUN, "duration_ms", True),
    (RUN, "duration_ms", None),
    (RUN, "operation", 1),
    (RUN, "status", "failed"),
    (RUN, "error_context", [1]),
    (RUN, "timestamp", 1_700_000_000),
    (RUN, "timestamp", "yesterday"),
    (RUN, "timestamp", "2026-03-01T12:00:00"),
    (RUN, "timestamp", "2026-02-30T12:00:00Z"),
    (RUN, "timestamp", "2026-03-01T12:00:60Z"),
    (CALL, "input_tokens", True),
    (CALL, "input_tokens", 1.5),
    (CALL, "input_tokens", 1.0),
    (CALL, "input_tokens", "1"),
    (CALL, "input_tokens", None),
    (CALL, "cost_usd", "free"),
    (CALL, "cost_usd", "NaN"),
    (CALL, "cost_usd", "sNaN"),
    (CALL, "cost_usd", "Infinity"),
    (CALL, "cost_usd", True),
    (CALL, "cache_hit", 1),
    (SMALLEST["quality"], "refined", "yes"),
    (LOOKUP, "layer", "l3"),
    (LOOKUP, "hit", 0),
    (LOOKUP, "miss_reason", "unlucky"),
    (SMALLEST["probe"], "up", "up"),
    (RUN, "type", "performances"),
    (RUN, "type", 1),
    (RUN, "type", "measurement"),
    (RUN, "flags", {"a": True}),
    (RUN, "attributes", {"a": {"b": 1}}),
    (RUN, "attributes", {"a": [1]}),
    (RUN, "attributes", []),
]


@pytest.mark.parametrize(
    ("event", "name", "value"), WRONG_TYPES, ids=[f"{n}={v!r}" for _, n, v in WRONG_TYPES]
)
def test_value_of_a_wrong_type_is_refused_with_its_path(event: Any, name: str, value: Any) -> None:
    path, _ = refusal(event | {name: value})

    assert path.partition("[")[0] == name


def test_unknown_type_is_told_the_known_ones() -> None:
    _, detail = refusal({"type": "log"})

    assert all(kind in detail for kind in SMALLEST)


@pytest.mark.parametrize("event", [1, None, "x", [], True])
def test_event_that_is_no_object_is_refused(event: Any) -> None:
    path, detail = refusal(event)

    assert path == ""
    assert "object" in detail


@pytest.mark.parametrize("name", ["flags", "attributes"])
def test_mapping_is_bounded_in_entries_and_in_the_length_of_its_keys(name: str) -> None:
    good = parse(RUN | {name: {f"k{n}": "v" for n in range(32)}})

    assert len(good.events) == 1
    path, detail = refusal(RUN | {name: {f"k{n}": "v" for n in range(33)}})
    assert (path, "32" in detail) == (name, True)
    assert refusal(RUN | {name: {"k" * 201: "v"}})[0] == name
    assert refusal(RUN | {name: {"": "v"}})[0] == name


def test_context_of_an_error_is_bounded_in_bytes() -> None:
    frame = len(b'{"a":""}')

    good = parse(RUN | {"error_context": {"a": "x" * (MAX_CONTEXT_BYTES - frame)}})

    assert len(good.events) == 1
    path, detail = refusal(RUN | {"error_context": {"a": "x" * (MAX_CONTEXT_BYTES - frame + 1)}})
    assert path == "error_context"
    assert str(MAX_CONTEXT_BYTES) in detail


NUL_EVENTS: dict[str, tuple[Any, str]] = {
    "name": (RUN | {"operation": "a\0b"}, "operation"),
    "value": (RUN | {"attributes": {"a": "\0"}}, "attributes.a"),
    "key": (RUN | {"flags": {"a\0": "b"}}, "flags"),
    "deep value": (RUN | {"error_context": {"a": [1, {"b": "\0"}]}}, "error_context.a[1].b"),
    "deep key": (RUN | {"error_context": {"a": {"\0": 1}}}, "error_context.a"),
}


@pytest.mark.parametrize("name", NUL_EVENTS)
def test_nul_is_refused_where_it_stands(name: str) -> None:
    event, path = NUL_EVENTS[name]

    assert refusal(event) == (path, "the character U+0000 is not allowed")


def test_text_that_only_looks_like_nul_is_kept() -> None:
    (event,) = parse(RUN | {"operation": r"\u0000"}).events

    assert event.operation == r"\u0000"


BORDERS: list[tuple[timedelta, bool]] = [
    (timedelta(days=-7), True),
    (timedelta(days=-7, microseconds=-1), False),
    (timedelta(minutes=5), True),
    (timedelta(minutes=5, microseconds=1), False),
    (timedelta(), True),
]


@pytest.mark.parametrize(("distance", "allowed"), BORDERS)
@pytest.mark.parametrize("hours", [0, 14, -12])
def test_time_is_bounded_to_the_microsecond_in_any_zone(
    distance: timedelta, allowed: bool, hours: int
) -> None:
    at = (NOW + distance).astimezone(timezone(timedelta(hours=hours)))

    batch = parse(RUN, RUN | {"timestamp": at.isoformat()})

    if allowed:
        assert batch.events[1].timestamp == at
    else:
        (rejected,) = batch.rejected
        assert rejected.path == "timestamp"
        assert "7 days back and 5 minutes ahead" in rejected.detail


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_ends_of_time_are_refused_as_any_other_wrong_time(text: str) -> None:
    assert refusal(RUN | {"timestamp": text})[0] == "timestamp"


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"0x1", b"01", b".5"])
def test_what_json_does_not_know_as_a_number_is_malformed(number: bytes) -> None:
    with pytest.raises(BadRequestError):
        parse_raw(b'[{"type":"performance","operation":"x","duration_ms":' + number + b"}]")


def test_number_beyond_a_double_is_refused_alone() -> None:
    batch = parse_raw(dumps([RUN, RUN]).replace(b'"duration_ms": 1}]', b'"duration_ms": 1e999}]'))

    assert len(batch.events) == 1
    assert [(r.index, r.path) for r in batch.rejected] == [(1, "duration_ms")]


@pytest.mark.parametrize("text", ["0.123456789", "0.1", "1e-9", "0.000000000499", "9999.999999999"])
def test_money_is_read_as_it_was_written(text: str) -> None:
    (event,) = parse_raw(
        b'[{"type":"llm_call","operation":"x","cost_usd":' + text.encode() + b"}]"
    ).events

    assert isinstance(event, LlmCall)
    assert event.cost_usd == Decimal(text)


def test_last_of_equal_keys_counts() -> None:
    batch = parse_raw(b'[{"type":"performance","operation":"a","operation":"b","duration_ms":1}]')

    assert isinstance(batch.events[0], Performance)
    assert batch.events[0].operation == "b"


MALFORMED = {
    "nothing": b"",
    "bad json": b"[{]",
    "bad json behind a bad event": b'[{"type":"x"}, {]',
    "more behind the end": b"[]} {",
    "bad number behind a bad event": b'[{"type":"x"},{"type":"performance","duration_ms":01}]',
    "invalid utf-8": b'[{"type":"performance","operation":"\xff","duration_ms":1}]',
    "invalid utf-8 behind a bad event": b'[{"type":"x"},{"type":"performance","operation":"\xff"}]',
    "encoded surrogate": b'[{"type":"performance","operation":"\xed\xa0\x80","duration_ms":1}]',
    "escaped surrogate": rb'[{"type":"performance","operation":"\ud800","duration_ms":1}]',
    "control character": b'[{"type":"performance","operation":"\x00","duration_ms":1}]',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_body_that_is_no_json_is_malformed(name: str) -> None:
    with pytest.raises(BadRequestError):
        parse_raw(MALFORMED[name])


def test_batch_of_too_many_events_names_the_limit() -> None:
    parse(*[RUN] * 5_000)

    for event in (RUN, {"type": "x"}):
        with pytest.raises(TooLargeError, match="at most 5000 events") as error:
            parse(*[event] * 5_001)
        assert error.value.path == "events"


@pytest.mark.parametrize("value", [b"1", b"{}", b'{"type":"performance","operation":"x"}'])
def test_body_of_a_million_little_values_is_refused_before_it_is_decoded(value: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError, match="at most 5000 events"):
            parse_raw(b"[" + (value + b",") * 1_000_001 + value + b"]")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Making the body takes three times its size.
    assert peak < 4 * 1_000_001 * (len(value) + 1) + 1_000_000


def test_batch_id_may_be_written_in_any_case() -> None:
    body = b'{"batch_id":"' + ID.upper().encode() + b'","events":[]}'

    assert parse_batch(body, LIMITS, received=NOW).batch_id == UUID(ID)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with suppress(BadRequestError, InvalidError):
        parse_batch(body, LIMITS, received=NOW)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
fields = st.dictionaries(
    st.sampled_from(
        ["operation", "duration_ms", "timestamp", "flags", "attributes", "error_context", "score"]
    ),
    scalars
    | st.dictionaries(st.text(max_size=4), scalars | st.lists(scalars, max_size=2), max_size=3),
    max_size=4,
)
typed = st.builds(
    lambda kind, rest: SMALLEST[kind] | rest, st.sampled_from(sorted(SMALLEST)), fields
)


@given(st.lists(typed | scalars, max_size=6))
def test_any_events_are_each_stored_or_refused(events: list[Any]) -> None:
    body = dumps({"batch_id": ID, "events": events})

    try:
        batch = parse_batch(body, LIMITS, received=NOW)
    except BadRequestError:
        # Python's json writes NaN, Infinity and lone surrogates.
        return

    assert len(batch.events) + len(batch.rejected) == len(events)
    assert [r.index for r in batch.rejected] == sorted({r.index for r in batch.rejected})
