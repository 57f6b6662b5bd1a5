"""How long an answer takes, as a pure function of its draw, its size and the load."""

from __future__ import annotations

import math
from dataclasses import dataclass

from llm_simulator.domain.catalogue import Model

# With every slot busy, everything takes so much longer again; in between it grows with the square of the load.
LOAD_SLOWDOWN = 0.5


@dataclass(frozen=True, slots=True)
class Latency:
    """When the first token is there, and how many milliseconds each one takes."""

    first_token_ms: float
    token_ms: float

    def after_ms(self, output_tokens: int) -> float:
        """Return when so many output tokens are there, counted from the slot's taking."""
        return self.first_token_ms + self.token_ms * output_tokens


def slowdown(busy: int, slots: int) -> float:
    """Return the factor for ``busy`` of ``slots`` in use, this call's own among them; 1 when it is alone."""
    return 1 + LOAD_SLOWDOWN * ((busy - 1) / slots) ** 2


def latency(
    model: Model, z: float, *, uncached_tokens: int, load: float, first_token_factor: float = 1.0
) -> Latency:
    """Return the latency for the standard normal draw ``z`` and the factor ``load`` of ``slowdown``.

    first token = median e^(sigma z) factor load + prefill; prefill = uncached / 1,000 pace load
    """
    drawn = model.first_token_ms * math.exp(model.sigma * z) * first_token_factor
    prefill = model.prefill_ms_per_1k * uncached_tokens / 1000
    return Latency((drawn + prefill) * load, model.token_ms * load)
