"""Prices applied again to calls that were charged before: what changes in their rows and in the totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

import msgspec
import numpy as np

from metrics_svc.domain.block import Ints, observed
from metrics_svc.domain.event import LlmCall
from metrics_svc.domain.kind import LLM_CALL
from metrics_svc.domain.tally import Charged, Prices, Tally, charge, tally

_MAX_NAMES = 1_000

Model = tuple[str | None, str | None]


class StoredCall(NamedTuple):
    """A call as it is stored, without what has no part in its price or its series; ``flags`` is JSON.

    Rows of which all of this is equal cannot be told apart, and need not be.
    """

    timestamp: datetime
    operation: str
    environment: str
    gap_priority: str | None
    provider: str | None
    model: str | None
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    status: str
    error_type: str | None
    flags: str | None
    cost_nanos: int | None
    cache_savings_nanos: int
    price_version: str | None

    @property
    def charged(self) -> Charged:
        """What the call was charged."""
        return self.cost_nanos, self.cache_savings_nanos, self.price_version

    def event(self) -> LlmCall:
        """Return the event that the call is counted as."""
        return LlmCall(
            timestamp=self.timestamp,
            operation=self.operation,
            environment=self.environment,
            gap_priority=self.gap_priority,
            provider=self.provider,
            model=self.model,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cached_input_tokens=self.cached_input_tokens,
            cache_write_tokens=self.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens,
            status="ok" if self.status == "ok" else "error",
            error_type=self.error_type,
            flags=None if self.flags is None else msgspec.json.decode(self.flags),
        )


@dataclass(frozen=True, slots=True)
class Change:
    """Calls, all different, that the prices charge otherwise now; lists of equal length."""

    calls: list[StoredCall]
    charges: list[Charged]
    tally: Tally

    def __len__(self) -> int:
        return len(self.calls)

    def times(self, rows: Ints) -> Tally:
        """Return the corrections of the totals when ``rows[i]`` rows were found of call ``i``."""
        single = self.tally.single
        weighted = replace(single, counters=single.counters * rows[:, np.newaxis])
        return replace(self.tally, single=weighted)


@dataclass(slots=True)
class Outcome:
    """What prices applied again do to calls; an unpriced call adds no cost.

    ``due`` is how many calls are charged otherwise by the prices, ``changed`` how many of them have been changed.
    """

    examined: int = 0
    due: int = 0
    changed: int = 0
    cost_before_nanos: int = 0
    cost_after_nanos: int = 0
    still_unpriced: int = 0
    unpriced_models: Counter[Model] = field(default_factory=Counter)

    def examine(self, calls: Sequence[StoredCall], prices: Prices) -> Change | None:
        """Count stored calls and return those whose charge is another now, if there are any."""
        changed: dict[StoredCall, tuple[LlmCall, Charged]] = {}
        for call in calls:
            event = call.event()
            charged = charge(event, prices)
            self._count(call, charged)
            if charged != call.charged:
                self.due += 1
                changed[call] = event, charged
        if not changed:
            return None
        events = [event for event, _ in changed.values()]
        charges = [charged for _, charged in changed.values()]
        before = [call.charged for call in changed]
        return Change(list(changed), charges, _corrections(events, before, charges, prices))

    def _count(self, call: StoredCall, charged: Charged) -> None:
        cost = charged[0]
        self.examined += 1
        self.cost_before_nanos += call.cost_nanos or 0
        self.cost_after_nanos += cost or 0
        if cost is None:
            self.still_unpriced += 1
            model = (call.provider, call.model)
            if model in self.unpriced_models or len(self.unpriced_models) < _MAX_NAMES:
                self.unpriced_models[model] += 1


def _corrections(
    events: Sequence[LlmCall],
    before: Sequence[Charged],
    after: Sequence[Charged],
    prices: Prices,
) -> Tally:
    """Return what has to be added to the totals when counted calls get another charge."""
    delta = np.zeros((len(events), len(LLM_CALL.counters)), np.int64)
    for sign, charges in ((-1, before), (1, after)):
        columns = {
            "cost_nanos": [cost or 0 for cost, _, _ in charges],
            "unpriced": [cost is None for cost, _, _ in charges],
            "cache_savings_nanos": [saved for _, saved, _ in charges],
        }
        for name, column in columns.items():
            delta[:, LLM_CALL.counter(name)] += sign * np.array(column, np.int64)
    # The series in which the calls are counted, but with these counters and no values.
    (counted,) = tally(events, prices)
    return replace(counted, single=observed(delta, np.full(len(events), np.nan)))


def rows_found(positions: Iterable[int], size: int) -> Ints:
    """Return how many rows were found of each of ``size`` calls."""
    found: Ints = np.bincount(np.array([*positions], np.int64), minlength=size)
    return found
