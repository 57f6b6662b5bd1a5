"""What a command tells its operator: progress while it runs, the account at its end."""

import math
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from loadgen.batches import Batch, Event
from loadgen.ingest import Receipt, Rejection

_SHOWN_REJECTIONS = 5
_PLAIN_INTERVAL_SECONDS = 5.0
# Whoever reads the answer's address some minutes later still sees the first call.
_WINDOW_SLACK_MINUTES = 10
_LONGEST_WINDOW_MINUTES = 43_200


@dataclass(slots=True)
class Tally:
    """Totals of the batches that the suite has confirmed."""

    calls: int = 0
    events_accepted: int = 0
    events_already_there: int = 0
    events_rejected: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    first: str | None = None
    last: str | None = None
    rejections: list[tuple[Event, Rejection]] = field(default_factory=list)

    def add(self, batch: Batch, receipt: Receipt) -> None:
        refused = {rejection.index for rejection in receipt.rejected}
        stored = [event for i, event in enumerate(batch.events) if i not in refused]
        self.events_rejected += len(refused)
        self.events_accepted += receipt.accepted
        if receipt.duplicate:
            self.events_already_there += len(stored)
        for event in stored:
            self._add_event(event)
        for rejection in receipt.rejected[: _SHOWN_REJECTIONS - len(self.rejections)]:
            self.rejections.append((batch.events[rejection.index], rejection))
        self.calls += batch.calls

    def _add_event(self, event: Event) -> None:
        timestamp = str(event["timestamp"])
        self.first = min(self.first or timestamp, timestamp)
        self.last = max(self.last or timestamp, timestamp)
        if event["type"] == "llm_call":
            self.input_tokens += int(event["input_tokens"])
            self.cached_input_tokens += int(event.get("cached_input_tokens", 0))
            self.output_tokens += int(event["output_tokens"])


@dataclass(frozen=True, slots=True)
class Work:
    """What a command does, for its progress: ``total`` of ``unit``, under the command's name."""

    name: str
    total: int
    unit: str


class _RateColumn(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} {self._unit}/s")


@contextmanager
def showing_progress(console: Console, work: Work) -> Generator[Callable[[int], None]]:
    """Yield a function that takes how much more is done."""
    if not console.is_terminal:
        yield _plain_progress(console, work)
        return
    columns = (
        TextColumn(work.name),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(work.unit),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(work.name, total=work.total)
        yield lambda more: progress.update(task, advance=more)


def _plain_progress(console: Console, work: Work) -> Callable[[int], None]:
    started = printed = time.monotonic()
    done = 0

    def advance(more: int) -> None:
        nonlocal done, printed
        done += more
        now = time.monotonic()
        if now - printed < _PLAIN_INTERVAL_SECONDS:
            return
        printed = now
        rate = done / (now - started)
        say(
            console,
            f"{done:,} of {work.total:,} {work.unit}, {rate:,.0f}/s,"
            f" {(work.total - done) / rate:,.0f} s left",
        )

    return advance


def summary(
    tally: Tally, *, calls: int, seconds: float, dashboard: str, needs_key: bool
) -> list[str]:
    """Return the account's lines; ``dashboard`` is the address that shows the replay."""
    rate = tally.calls / seconds if seconds > 0 else math.inf
    lines = [
        f"{tally.calls:,} of {calls:,} calls confirmed in {seconds:,.1f} s ({rate:,.0f} calls/s)",
        (
            f"  events  {tally.events_accepted:,} accepted, {tally.events_rejected:,} refused,"
            f" {tally.events_already_there:,} already there"
        ),
        (
            f"  tokens  {tally.input_tokens:,} in (of them {tally.cached_input_tokens:,} cached),"
            f" {tally.output_tokens:,} out"
        ),
    ]
    lines += [
        f"  refused {event['type']} of {event['timestamp']}:"
        f" {rejection.path + ': ' if rejection.path else ''}{rejection.detail}"
        for event, rejection in tally.rejections
    ]
    if tally.first is not None and tally.last is not None:
        lines += [f"  from    {tally.first}", f"  to      {tally.last}"]
        lines += ["What the dashboard makes of it:", f"  {curl(needs_key=needs_key)} '{dashboard}'"]
    return lines


def dashboard_address(
    endpoint: str, *, first: str | None, now: datetime, filters: Mapping[str, str]
) -> str:
    """Address the dashboard with a window that reaches back to ``first``."""
    begin = datetime.fromisoformat(first) if first is not None else now
    minutes = math.ceil((now - begin).total_seconds() / 60)
    window = max(1, min(minutes + _WINDOW_SLACK_MINUTES, _LONGEST_WINDOW_MINUTES))
    query = urlencode({"time_window_minutes": window, **filters})
    return f"{endpoint.rstrip('/')}/api/metrics/dashboard?{query}"


def curl(*, needs_key: bool) -> str:
    """Return how a request to the suite begins; the key is named and not shown."""
    return "curl -s" + (' -H "Authorization: Bearer $WINDSOCK_API_KEY"' if needs_key else "")


def say(console: Console, line: str) -> None:
    """Print the line as it is: no markup, no colours, no wrapping of what is to be copied."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)
