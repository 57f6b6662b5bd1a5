"""The provider of models as the workload meets it: how long its calls take, and which of them fail."""

from dataclasses import dataclass, field

from loadgen.demo.application import MODELS, Application
from loadgen.demo.chance import Chance
from loadgen.demo.recorder import LIMITED, TIMED_OUT, Call, Fault, Recorder
from loadgen.demo.story import Conditions

# A prompt's beginning is cached from so many tokens on, in steps.
_LEAST_CACHED, _CACHE_STEP = 1_024, 128
_PREFILL_MS_PER_TOKEN = 0.04


class CallFailedError(Exception):
    """A model call failed, ``at`` that time."""

    def __init__(self, fault: Fault, at: float) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.at = at


@dataclass(slots=True)
class Provider:
    """Makes the model calls of one request. Times go in and come out as Unix seconds."""

    application: Application
    now: Conditions
    record: Recorder
    chance: Chance
    # Whether an earlier call of this request has left the shared beginning in the provider's cache.
    _prefix_used: bool = field(default=False, init=False)

    def chat(self, name: str, priority: str, at: float, task: int, answer: int) -> float:
        """Ask the user's model; ``task`` tokens are what this prompt has of its own.

        Raises ``CallFailedError``.
        """
        app, treatment = self.application, self.record.user.treatment
        model = MODELS[treatment.model]
        own = round((task + app.task_tokens) * self.chance.vary(0.1)) + self.now.added_prompt_tokens
        answer = round(answer * model.length * self.chance.vary(0.1))
        cached = self._cached()
        input_tokens = app.instruction_tokens + app.background_tokens + own
        takes_ms = (
            model.first_token_ms * self.now.first_token_factor
            + _PREFILL_MS_PER_TOKEN * (input_tokens - cached)
            + model.token_ms * answer
        )
        call = Call(app.provider, treatment.model, input_tokens, answer, cached)
        return self._made(name, priority, at, takes_ms, call)

    def embed(self, name: str, priority: str, at: float, texts: int) -> float:
        """Give texts their vectors, from the cache or made; raises ``CallFailedError``."""
        app = self.application
        unknown = sum(not self._known(name, priority, at) for _ in range(texts))
        if not unknown:
            return at + self.chance.seconds(app.near_ms)
        model = self.record.user.treatment.embedding_model
        call = Call(app.provider, model, app.embedding_tokens * unknown)
        return self._made(name, priority, at, app.embedding_ms, call)

    def _known(self, name: str, priority: str, at: float) -> bool:
        app = self.application
        if self.chance.happens(app.embedding_hits):
            self.record.hit("l1", name, priority, at, self.chance.spread(app.embedding_ms))
            return True
        self.record.miss("l1", name, priority, at, "cold")
        if self.chance.happens(app.far_hits):
            self.record.hit("l2", name, priority, at, self.chance.spread(app.embedding_ms))
            return True
        self.record.miss("l2", name, priority, at, "cold")
        return False

    def _cached(self) -> int:
        """Return how much of the prompt the provider has seen, where its beginning is stable."""
        app = self.application
        if not self.record.user.treatment.stable_prefix:
            return 0
        seen = app.instruction_tokens + app.background_tokens * self._prefix_used
        if not self._prefix_used and not self.chance.happens(app.warm_prefix):
            seen = 0
        self._prefix_used = True
        return seen - (seen - _LEAST_CACHED) % _CACHE_STEP if seen else 0

    def _made(self, name: str, priority: str, at: float, takes_ms: float, call: Call) -> float:
        fault = self._fault()
        if fault is TIMED_OUT:
            end = at + self.application.timeout_ms / 1000
        else:
            median_ms = takes_ms if fault is None else self.application.limited_ms
            end = at + self.chance.seconds(median_ms * self.now.latency_factor)
        if fault is None:
            self.record.call(name, priority, at, end, call)
            return end
        self.record.failed_call(name, priority, at, end, call=call, fault=fault)
        raise CallFailedError(fault, end)

    def _fault(self) -> Fault | None:
        if not self.chance.happens(self.now.failing):
            return None
        return LIMITED if self.chance.happens(self.now.limited) else TIMED_OUT
