"""Calls of a trace as batches of ingest events."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import NAMESPACE_URL, UUID, uuid5

from loadgen.prompt_cache import Lookup, PromptCache
from loadgen.schedule import Schedule
from loadgen.traces import TraceCall

MAX_EVENTS = 500
MAX_LIVE_SECONDS = 0.25
"""How long a live replay holds a call back so that batches are not of one event each."""

_BATCH_NAMESPACE = uuid5(NAMESPACE_URL, "urn:windsock:replay")

Event = dict[str, str | int | bool]


@dataclass(frozen=True, slots=True)
class Labels:
    """What no trace says and the operator chooses."""

    operation: str
    environment: str
    provider: str
    model: str


@dataclass(frozen=True, slots=True)
class Batch:
    """``due_seconds`` is when its last call takes place, from the start of the replay."""

    batch_id: UUID
    events: tuple[Event, ...]
    calls: int
    due_seconds: float


def events_of(
    call: TraceCall, lookup: Lookup | None, timestamp: str, labels: Labels
) -> list[Event]:
    """Return the call's events: nothing is in them that the trace or the labels do not say."""
    shared: Event = {
        "timestamp": timestamp,
        "operation": labels.operation,
        "environment": labels.environment,
    }
    llm_call: Event = {
        "type": "llm_call",
        **shared,
        "provider": labels.provider,
        "model": labels.model,
        "input_tokens": call.input_tokens,
        "output_tokens": call.output_tokens,
    }
    if lookup is None:
        return [llm_call]
    llm_call["cached_input_tokens"] = lookup.cached_tokens
    cache: Event = {
        "type": "cache",
        **shared,
        "layer": "prompt",
        "hit": lookup.miss_reason is None,
    }
    if lookup.miss_reason is not None:
        cache["miss_reason"] = lookup.miss_reason
    return [llm_call, cache]


@dataclass(slots=True)
class Batcher:
    """Cuts a trace into batches, the same ones for the same trace, schedule and run.

    A batch's id depends on ``run`` and its place only, so a batch that is sent again,
    by a retry or by a second replay of the same run, is one that the suite knows.
    """

    run: str
    schedule: Schedule
    labels: Labels
    cache: PromptCache
    max_seconds: float
    """Most time between a batch's first and last call; infinite when nothing waits."""

    def batches(self, calls: Iterable[TraceCall]) -> Iterator[Batch]:
        index = 0
        gathered: list[tuple[float, list[Event]]] = []
        for call in calls:
            after = self.schedule.after(call.offset_seconds)
            events = self._events(call)
            if gathered and self._is_full(gathered, after, len(events)):
                yield self._batch(index, gathered)
                index += 1
                gathered = []
            gathered.append((after, events))
        if gathered:
            yield self._batch(index, gathered)

    def _events(self, call: TraceCall) -> list[Event]:
        lookup = None
        if call.prompt_blocks is not None:
            lookup = self.cache.look_up(call.prompt_blocks, call.input_tokens)
        timestamp = self.schedule.at(call.offset_seconds).isoformat(timespec="microseconds")
        return events_of(call, lookup, timestamp, self.labels)

    def _is_full(self, gathered: list[tuple[float, list[Event]]], after: float, more: int) -> bool:
        # Every call of one trace makes equally many events.
        return (len(gathered) + 1) * more > MAX_EVENTS or after - gathered[0][0] > self.max_seconds

    def _batch(self, index: int, gathered: list[tuple[float, list[Event]]]) -> Batch:
        return Batch(
            batch_id=uuid5(_BATCH_NAMESPACE, f"{self.run}/{index}"),
            events=tuple(event for _, events in gathered for event in events),
            calls=len(gathered),
            due_seconds=max(after for after, _ in gathered),
        )
