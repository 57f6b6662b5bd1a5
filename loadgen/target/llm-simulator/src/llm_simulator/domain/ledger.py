"""What was sold: the provider's own books, to hold an application's against."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from llm_simulator.domain.catalogue import Model, Usage

MAX_KEYS = 1_000_000


@dataclass(slots=True)
class Account:
    """Calls, their tokens and their cost in nano-dollars."""

    calls: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    cost_nanos: int = 0

    def add(self, usage: Usage, cost_nanos: int) -> None:
        """Add one call."""
        self.calls += 1
        self.input_tokens += usage.input_tokens
        self.cached_input_tokens += usage.cached_input_tokens
        self.output_tokens += usage.output_tokens
        self.cost_nanos += cost_nanos


@dataclass(slots=True)
class Ledger:
    """The books since one moment. Every call that reached the provider is in one of three places.

    ``whole`` has those whose answer was sent to its end, by model; ``cut`` those whose client left or whose stream was
    cut, with what was produced until then; ``errors`` counts those that were refused, by status.
    """

    since: datetime
    max_keys: int = MAX_KEYS
    whole: dict[Model, Account] = field(default_factory=dict)
    cut: Account = field(default_factory=Account)
    errors: Counter[int] = field(default_factory=Counter)
    duplicates: int = 0
    saturated: bool = False
    _keys: set[int] = field(default_factory=set)

    @property
    def unique_keys(self) -> int:
        """How many different requests were answered; a lower bound once the ledger is saturated."""
        return len(self._keys)

    def total(self) -> Account:
        """Return the sum over the models."""
        total = Account()
        for account in self.whole.values():
            total.calls += account.calls
            total.input_tokens += account.input_tokens
            total.cached_input_tokens += account.cached_input_tokens
            total.output_tokens += account.output_tokens
            total.cost_nanos += account.cost_nanos
        return total

    def sell(self, model: Model, key: int, usage: Usage) -> None:
        """Book a call whose whole answer is sent; ``key`` is the same for equal requests only."""
        self.whole.setdefault(model, Account()).add(usage, model.cost_nanos(usage))
        if key in self._keys:
            self.duplicates += 1
        elif len(self._keys) < self.max_keys:
            self._keys.add(key)
        else:
            self.saturated = True

    def lose(self, model: Model, usage: Usage) -> None:
        """Book a call whose answer did not come to its end."""
        self.cut.add(usage, model.cost_nanos(usage))

    def refuse(self, status: int) -> None:
        """Count a call that was refused."""
        self.errors[status] += 1
