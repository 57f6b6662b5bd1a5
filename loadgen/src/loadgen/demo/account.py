"""What of the history the suite has taken, counted here, to be held against its own numbers."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from loadgen.demo.events import LlmCall
from loadgen.demo.slots import Slot
from loadgen.ingest import Receipt, Rejection
from loadgen.prices import Rates

_SHOWN_REJECTIONS = 5


@dataclass(slots=True)
class Account:
    """Totals of the events that the suite has stored now; what it had already is counted apart.

    ``rates`` are the prices in force, by model; None is a model without one.
    """

    rates: Mapping[str, Rates | None]
    slots: int = 0
    requests: int = 0
    events: Counter[str] = field(default_factory=Counter)
    """Stored now, by type."""
    already_there: int = 0
    """Half hours; nobody knows from here how many events a former run sent of them."""
    refused: int = 0
    rejections: list[Rejection] = field(default_factory=list)
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    cost_nanos: int = 0
    unpriced_calls: int = 0

    def add(self, slot: Slot, receipt: Receipt) -> None:
        """Count a batch that the suite has answered."""
        self.slots += 1
        self.refused += len(receipt.rejected)
        self.rejections += receipt.rejected[: _SHOWN_REJECTIONS - len(self.rejections)]
        if receipt.duplicate:
            self.already_there += 1
            return
        self.requests += slot.requests
        refused = {rejection.index for rejection in receipt.rejected}
        for index, event in enumerate(slot.events):
            if index in refused:
                continue
            self.events[str(event.__struct_config__.tag)] += 1
            if isinstance(event, LlmCall):
                self._charge(event)

    def _charge(self, call: LlmCall) -> None:
        self.input_tokens += call.input_tokens
        self.cached_input_tokens += call.cached_input_tokens
        self.output_tokens += call.output_tokens
        rates = self.rates.get(call.model)
        if rates is None:
            self.unpriced_calls += 1
        else:
            self.cost_nanos += rates.nanos(
                call.input_tokens, call.cached_input_tokens, call.output_tokens
            )

    def lines(self, seconds: float) -> list[str]:
        """Return the account as it is printed."""
        stored = self.events.total()
        rate = f" ({stored / seconds:,.0f} events/s)" if seconds > 0 else ""
        by_type = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.events.items()))
        lines = [
            f"{self.requests:,} requests stored as {stored:,} events in {seconds:,.1f} s{rate}",
            f"  events  {by_type or 'none'}",
            f"  kept    {self.already_there:,} half hours already there, {self.refused:,} events refused",
            (
                f"  tokens  {self.input_tokens:,} in (of them {self.cached_input_tokens:,} cached),"
                f" {self.output_tokens:,} out"
            ),
            f"  cost    ${self.cost_nanos // 10**9:,}.{self.cost_nanos % 10**9:09}",
        ]
        if self.unpriced_calls:
            lines.append(f"  without a price: {self.unpriced_calls:,} model calls")
        if self.already_there:
            lines.append("  what was there keeps the story of the run that sent it")
        lines += [f"  refused {each.path}: {each.detail}" for each in self.rejections]
        return lines
