from datetime import UTC, datetime
from io import StringIO
from uuid import UUID

import pytest
from rich.console import Console

from loadgen.batches import Batch, Event
from loadgen.ingest import Receipt, Rejection
from loadgen.report import Tally, Work, dashboard_address, showing_progress, summary

BATCH_ID = UUID(int=1)


def llm_call(minute: int, tokens: int) -> Event:
    return {
        "type": "llm_call",
        "timestamp": f"2025-11-29T12:{minute:02}:00.000000+00:00",
        "input_tokens": tokens,
        "cached_input_tokens": tokens // 2,
        "output_tokens": 1,
    }


def test_refused_event_is_left_out_of_the_totals_and_named() -> None:
    tally = Tally()
    batch = Batch(BATCH_ID, (llm_call(0, 100), llm_call(1, 10), llm_call(2, 20)), 3, 0)

    tally.add(batch, Receipt(2, False, (Rejection(0, "too old", "timestamp"),)))

    assert (tally.calls, tally.events_accepted, tally.events_rejected) == (3, 2, 1)
    assert (tally.input_tokens, tally.cached_input_tokens, tally.output_tokens) == (30, 15, 2)
    assert (tally.first, tally.last) == (batch.events[1]["timestamp"], batch.events[2]["timestamp"])
    lines = summary(tally, calls=3, seconds=1, dashboard="http://d", needs_key=False)
    assert "  refused llm_call of 2025-11-29T12:00:00.000000+00:00: timestamp: too old" in lines


def test_batch_that_the_suite_had_counts_as_already_there() -> None:
    tally = Tally()

    tally.add(Batch(BATCH_ID, (llm_call(0, 4), llm_call(1, 4)), 2, 0), Receipt(0, True))

    assert (tally.events_accepted, tally.events_already_there) == (0, 2)
    assert tally.input_tokens == 8


def test_only_the_first_refusals_are_kept() -> None:
    tally = Tally()
    batch = Batch(BATCH_ID, tuple(llm_call(0, 1) for _ in range(9)), 9, 0)
    receipt = Receipt(0, False, tuple(Rejection(i, "no") for i in range(9)))

    tally.add(batch, receipt)
    tally.add(batch, receipt)

    assert tally.events_rejected == 18
    assert len(tally.rejections) == 5


@pytest.mark.parametrize(
    ("first", "window"),
    [
        ("2025-11-29T11:59:30+00:00", 11),
        ("2025-11-29T11:00:00+00:00", 70),
        ("2025-01-01T00:00:00+00:00", 43200),
        (None, 10),
    ],
    ids=["just now", "an hour", "too long", "nothing"],
)
def test_window_reaches_back_to_the_first_call(first: str | None, window: int) -> None:
    address = dashboard_address(
        "http://h:1/",
        first=first,
        now=datetime(2025, 11, 29, 12, tzinfo=UTC),
        filters={"operation": "a b&c"},
    )

    assert address == (
        f"http://h:1/api/metrics/dashboard?time_window_minutes={window}&operation=a+b%26c"
    )


def test_key_is_named_and_not_shown_in_the_command() -> None:
    tally = Tally()
    tally.add(Batch(BATCH_ID, (llm_call(0, 4),), 1, 0), Receipt(1, False))

    lines = summary(tally, calls=1, seconds=1, dashboard="http://d", needs_key=True)

    assert lines[-1] == "  curl -s -H \"Authorization: Bearer $WINDSOCK_API_KEY\" 'http://d'"


def test_terminal_shows_a_bar_and_a_file_does_not() -> None:
    terminal = Console(file=StringIO(), force_terminal=True, width=120)
    with showing_progress(terminal, Work("replay", 10, "calls")) as advance:
        advance(10)
    written = Console(file=StringIO(), force_terminal=False)
    with showing_progress(written, Work("replay", 10, "calls")) as advance:
        advance(10)

    assert isinstance(terminal.file, StringIO)
    assert "10/10" in terminal.file.getvalue()
    assert isinstance(written.file, StringIO)
    assert written.file.getvalue() == ""
