"""``python -m loadgen.replay FILE``: stream a published LLM trace into a running suite."""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from math import inf
from pathlib import PurePath
from threading import Event as Flag
from uuid import uuid4

from rich.console import Console

from loadgen.batches import MAX_LIVE_SECONDS, Batch, Batcher, Labels
from loadgen.courier import IN_FLIGHT, Courier
from loadgen.ingest import IngestClient, IngestError, Receipt
from loadgen.interruption import Interruption
from loadgen.options import Options, parse_options
from loadgen.prompt_cache import PromptCache
from loadgen.report import Tally, Work, dashboard_address, say, showing_progress, summary
from loadgen.schedule import Schedule, ScheduleError, Survey, backfill, live, survey
from loadgen.settings import Settings
from loadgen.source import TraceSource, open_trace
from loadgen.traces import (
    BadLineError,
    TraceCall,
    TraceError,
    TraceFormat,
    detect_format,
    read_calls,
)

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

_KINDS = ("conversation", "code", "toolagent")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    settings = Settings.from_env()
    options = parse_options(arguments, settings)
    messages = Console(stderr=True)
    try:
        with open_trace(options.file) as source:
            trace = _check(source, options, messages)
            return Replay(trace, options, settings.api_key, messages).run()
    except (TraceError, ScheduleError) as error:
        say(messages, f"replay: {options.file}: {error}")
        return EXIT_BAD_INPUT
    except OSError as error:
        say(messages, f"replay: {options.file}: {error.strerror or error}")
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        say(messages, "replay: stopped at once")
        return EXIT_INTERRUPTED


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace that has been read to its end once, so that nothing in it is a surprise."""

    source: TraceSource
    format: TraceFormat
    limit: int | None
    found: Survey

    def calls(self) -> Iterator[TraceCall]:
        """Yield the calls again, without the lines that have been reported as bad."""
        calls = read_calls(self.source.lines(), self.format, on_bad_line=lambda bad: None)
        return islice(calls, self.limit)


def _check(source: TraceSource, options: Options, messages: Console) -> Trace:
    skipped = 0
    first_skipped: BadLineError | None = None

    def skip(line: BadLineError) -> None:
        nonlocal skipped, first_skipped
        skipped += 1
        first_skipped = first_skipped or line

    trace_format = detect_format(source.lines())
    calls = read_calls(source.lines(), trace_format, on_bad_line=skip if options.skip_bad else None)
    found = survey(islice(calls, options.limit), compress=options.compress)
    if skipped:
        say(messages, f"{skipped:,} bad left out, the first: {first_skipped}")
    if found.calls == 0:
        raise TraceError("there is no call in it")
    return Trace(source, trace_format, options.limit, found)


@dataclass(slots=True)
class Replay:
    """One replay of a checked trace, from the first batch to the account of all of them."""

    trace: Trace
    options: Options
    api_key: str | None
    messages: Console
    tally: Tally = field(default_factory=Tally)
    interruption: Interruption = field(default_factory=Interruption)

    def run(self) -> int:
        """Send everything, print the account and return the exit status."""
        run_id = self.options.run_id or str(uuid4())
        labels = _labels(self.options, self.trace.format)
        batches = self._batches(run_id, labels)
        calls = self.trace.found.calls
        say(
            self.messages,
            f"{self.trace.format.title}: {calls:,} calls as operation {labels.operation}"
            f" to {self.options.endpoint}",
        )

        started = time.monotonic()
        failure = None
        with self.interruption:
            try:
                self._deliver(batches)
            except IngestError as error:
                failure = error
        self._print_account(labels, time.monotonic() - started)
        return self._conclude(failure, run_id)

    def _batches(self, run_id: str, labels: Labels) -> Iterator[Batch]:
        options, found = self.options, self.trace.found
        # Whatever changes the batches' content or cut must change their ids too.
        run = (run_id, found, options.speed, options.compress, options.cache_blocks, labels)
        batcher = Batcher(
            run=repr(run),
            schedule=_schedule(options, found),
            labels=labels,
            cache=PromptCache(options.cache_blocks),
            max_seconds=inf if options.speed is None else MAX_LIVE_SECONDS,
        )
        return batcher.batches(self.trace.calls())

    def _deliver(self, batches: Iterator[Batch]) -> None:
        stopping = Flag()
        client = IngestClient(
            self.options.endpoint,
            api_key=self.api_key,
            connections=IN_FLIGHT,
            patience_seconds=self.options.patience,
            stopping=stopping,
        )
        work = Work("replay", self.trace.found.calls, "calls")
        with showing_progress(self.messages, work) as advance:

            def confirm(batch: Batch, receipt: Receipt) -> None:
                self.tally.add(batch, receipt)
                advance(batch.calls)

            courier = Courier(
                client,
                stopping=stopping,
                interrupted=lambda: self.interruption.requested,
                on_receipt=confirm,
            )
            courier.deliver(batches, paced=self.options.speed is not None)

    def _print_account(self, labels: Labels, seconds: float) -> None:
        if self.tally.calls == 0:
            return
        dashboard = dashboard_address(
            self.options.endpoint,
            first=self.tally.first,
            now=datetime.now(UTC),
            filters={"operation": labels.operation, "environment": labels.environment},
        )
        lines = summary(
            self.tally,
            calls=self.trace.found.calls,
            seconds=seconds,
            dashboard=dashboard,
            needs_key=self.api_key is not None,
        )
        answers = Console()
        for line in lines:
            say(answers, line)

    def _conclude(self, failure: IngestError | None, run_id: str) -> int:
        missing = self.trace.found.calls - self.tally.calls
        if failure is not None:
            say(self.messages, f"replay: {failure}")
        if missing and self.tally.calls and self.options.speed is None:
            say(self.messages, f"replay: {missing:,} calls left; --run-id {run_id} goes on there")
        if failure is not None:
            return EXIT_FAILED
        if missing:
            return EXIT_INTERRUPTED
        return EXIT_FAILED if self.tally.events_rejected else EXIT_OK


def _labels(options: Options, trace_format: TraceFormat) -> Labels:
    name = PurePath(options.file).name.lower()
    kind = next((kind for kind in _KINDS if kind in name), trace_format.name)
    return Labels(
        operation=options.operation or kind,
        environment=options.environment,
        provider=options.provider,
        model=options.model,
    )


def _schedule(options: Options, found: Survey) -> Schedule:
    now = datetime.now(UTC)
    if options.speed is None:
        return backfill(found, now=now, compress=options.compress)
    return live(found, now=now, speed=options.speed)


if __name__ == "__main__":
    sys.exit(main())
