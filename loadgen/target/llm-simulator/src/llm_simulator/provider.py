"""One provider: whom it serves, how long that takes, what its books say."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from llm_simulator.domain.catalogue import Model, Usage
from llm_simulator.domain.draw import Draws
from llm_simulator.domain.fault import Faults, FaultSwitch
from llm_simulator.domain.latency import Latency, latency, slowdown
from llm_simulator.domain.ledger import Ledger
from llm_simulator.domain.prompt_cache import PromptCache
from llm_simulator.domain.rate import Bucket
from llm_simulator.instruments import Instruments
from llm_simulator.slots import QueueFullError, Slots
from llm_simulator.wire.errors import ApiError, retry_header, server_error
from windsock_kit.clock import utc_now

_MAX_REPEATS = 100_000


@dataclass(frozen=True, slots=True)
class Call:
    """One request. ``key`` is a digest of everything that was asked; ``prefixes`` are for the prompt cache."""

    model: Model
    key: int
    input_tokens: int
    prefixes: Sequence[bytes] = ()


@dataclass(slots=True)
class Turn:
    """A call that has its slot."""

    call: Call
    # How often the same was asked before.
    nth: int
    faults: Faults
    cached_tokens: int
    latency: Latency
    # Where along the stream it is cut, from 0 to 1; None: not at all.
    cut_at: float | None
    _scale: float
    _since: float = field(default_factory=time.monotonic)
    output_tokens: int = 0
    whole: bool = False

    def usage(self, output_tokens: int) -> Usage:
        """Return what the call costs with so many tokens of output."""
        return Usage(self.call.input_tokens, self.cached_tokens, output_tokens)

    async def until(self, output_tokens: int) -> None:
        """Wait until so many tokens of output are there; 0 is the beginning of the first."""
        due = self._since + self.latency.after_ms(output_tokens) / 1000 * self._scale
        await asyncio.sleep(max(0.0, due - time.monotonic()) if self._scale else 0.0)

    def end(self, output_tokens: int) -> None:
        """Note that the whole answer is there."""
        self.output_tokens = output_tokens
        self.whole = True


@dataclass(frozen=True, slots=True)
class Terms:
    """What a provider grants."""

    seed: int
    time_scale: float
    slots: int
    queue: int
    requests_per_minute: int
    tokens_per_minute: int


class Provider:
    """Serves calls on ``terms``; ``wall`` is the time of day, ``clock`` a clock that is never set back."""

    def __init__(
        self,
        terms: Terms,
        instruments: Instruments,
        *,
        wall: Callable[[], datetime] = utc_now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.terms = terms
        self.wall = wall
        self.clock = clock
        self.draws = Draws(terms.seed)
        self.switch = FaultSwitch()
        self.slots = Slots(terms.slots, terms.queue)
        self.ledger = Ledger(wall())
        now = clock()
        self._limits = {
            "requests": Bucket(terms.requests_per_minute, now),
            "tokens": Bucket(terms.tokens_per_minute, now),
        }
        self._cache = PromptCache()
        self._seen: OrderedDict[int, int] = OrderedDict()
        self._instruments = instruments
        instruments.watch(busy=lambda: self.slots.busy, waiting=lambda: self.slots.waiting)

    def new_ledger(self) -> Ledger:
        """Begin new books and return the old ones."""
        old, self.ledger = self.ledger, Ledger(self.wall())
        return old

    def refuse(self, status: int) -> None:
        """Count a call that is refused."""
        self.ledger.refuse(status)
        self._instruments.refused.labels(str(status)).inc()

    @asynccontextmanager
    async def serving(self, call: Call) -> AsyncGenerator[Turn]:
        """Hold a slot for ``call``, and book it at the end of the block.

        Raises ``ApiError`` when the call is refused. A block that ends before ``Turn.end`` was called, also by being
        cancelled, leaves a cut call.
        """
        nth = self._repeat(call.key)
        faults = self.switch.current(self.clock())
        self._check_faults(call, faults, nth)
        self._check_limits(call)
        arrived = self.clock()
        try:
            await self.slots.take()
        except QueueFullError:
            raise server_error(
                503, f"the queue is full: {self.slots.queue} calls wait", retry_after=1
            ) from None
        except asyncio.CancelledError:
            self._lose(call, Usage(0))
            raise
        self._instruments.queued.observe(self.clock() - arrived)
        turn = self._turn(call, faults, nth)
        try:
            yield turn
        finally:
            self.slots.give_back()
            self._book(turn)

    def rate_headers(self) -> Mapping[str, str]:
        """Return what OpenAI tells of its limits with every answer."""
        now = self.clock()
        headers = {}
        for name, bucket in self._limits.items():
            if bucket.limit:
                level = bucket.level(now)
                headers[f"x-ratelimit-limit-{name}"] = str(level.limit)
                headers[f"x-ratelimit-remaining-{name}"] = str(level.remaining)
                headers[f"x-ratelimit-reset-{name}"] = f"{level.reset_seconds:.3f}s"
        return headers

    def _repeat(self, key: int) -> int:
        nth = self._seen.pop(key, 0)
        self._seen[key] = nth + 1
        if len(self._seen) > _MAX_REPEATS:
            self._seen.popitem(last=False)
        return nth

    def _check_faults(self, call: Call, faults: Faults, nth: int) -> None:
        if faults.outage:
            raise server_error(503, "the provider is out of service (simulated)", retry_after=1)
        if self.draws.happens(faults.error_rate, "error", call.key, nth):
            status = faults.error_status
            later = 1 if status in {429, 503} else None
            raise server_error(status, "the provider failed (simulated)", retry_after=later)

    def _check_limits(self, call: Call) -> None:
        now = self.clock()
        wanted = {"requests": 1, "tokens": call.input_tokens}
        for name, amount in wanted.items():
            wait = self._limits[name].lacks(amount, now)
            if wait:
                limit = self._limits[name].limit
                later = {} if wait == float("inf") else retry_header(wait)
                raise ApiError(
                    429,
                    f"Rate limit reached for {call.model.name} on {name} per minute: limit {limit},"
                    f" requested {amount}.",
                    kind=name,
                    code="rate_limit_exceeded",
                    headers={**self.rate_headers(), **later},
                )
        for name, amount in wanted.items():
            self._limits[name].take(amount, now)

    def _turn(self, call: Call, faults: Faults, nth: int) -> Turn:
        cached = self._cache.use(call.prefixes, self.clock())
        is_chat = call.model.kind == "chat"
        drawn = latency(
            call.model,
            self.draws.normal("latency", call.key, nth),
            uncached_tokens=call.input_tokens - cached,
            load=slowdown(self.slots.busy, self.slots.slots),
            first_token_factor=faults.slow_first_token_factor if is_chat else 1.0,
        )
        cut = self.draws.happens(faults.cut_stream_rate, "cut", call.key, nth)
        cut_at = self.draws.uniform("cut at", call.key, nth) if cut else None
        return Turn(call, nth, faults, cached, drawn, cut_at, self.terms.time_scale)

    def _book(self, turn: Turn) -> None:
        usage = turn.usage(turn.output_tokens)
        self._limits["tokens"].take(turn.output_tokens, self.clock())
        if turn.whole:
            self.ledger.sell(turn.call.model, turn.call.key, usage)
            self._instruments.count(turn.call.model.name, "answered")
        else:
            self._lose(turn.call, usage)

    def _lose(self, call: Call, usage: Usage) -> None:
        self.ledger.lose(call.model, usage)
        self._instruments.count(call.model.name, "cut")
