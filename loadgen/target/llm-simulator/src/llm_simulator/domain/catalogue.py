"""The models that are simulated: what they cost, how fast they are, how well they write.

Prices are those published in November 2026. Embeddings of text-embedding-004 and -005 are published per character
($0.000025 per 1,000), which is $0.10 per million tokens at four characters a token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["chat", "embeddings"]


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one call; the cached ones are among the input."""

    input_tokens: int
    cached_input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Model:
    """One model. Prices are nano-dollars per token, so that every cost is a whole number of them.

    ``craft`` is how often an answer has each thing that makes it good, before its context adds to that.
    """

    name: str
    kind: Kind
    input_nanos: int
    cached_nanos: int
    output_nanos: int
    first_token_ms: float
    sigma: float
    prefill_ms_per_1k: float
    token_ms: float
    max_input_tokens: int
    max_output_tokens: int = 0
    craft: float = 0.0
    # Of the squared length of an embedding: family, group and skill that the text is about; words are the rest.
    aspects: tuple[float, float, float] = (0.0, 0.0, 0.0)
    # How badly it knows where the skill belongs that it knows worst, from 0 to 1.
    doubt: float = 0.0

    def cost_nanos(self, usage: Usage) -> int:
        """Return the exact cost of a call in nano-dollars."""
        plain = usage.input_tokens - usage.cached_input_tokens
        return (
            plain * self.input_nanos
            + usage.cached_input_tokens * self.cached_nanos
            + usage.output_tokens * self.output_nanos
        )


def _chat(
    name: str, prices: tuple[int, int, int], first_token_ms: float, token_ms: float, craft: float
) -> Model:
    return Model(
        name, "chat", *prices, first_token_ms=first_token_ms, sigma=0.35, prefill_ms_per_1k=40.0,
        token_ms=token_ms, max_input_tokens=1_048_576, max_output_tokens=8_192, craft=craft,
    )  # fmt: skip


def _embeddings(
    name: str, nanos: int, max_input_tokens: int, aspects: tuple[float, float, float], doubt: float
) -> Model:
    return Model(
        name, "embeddings", nanos, nanos, 0, first_token_ms=120.0, sigma=0.25,
        prefill_ms_per_1k=10.0, token_ms=0.0, max_input_tokens=max_input_tokens,
        aspects=aspects, doubt=doubt,
    )  # fmt: skip


MODELS = {
    model.name: model
    for model in (
        _chat("gemini-2.0-flash-exp", (100, 25, 400), 350.0, 5.0, 0.45),
        _chat("gemini-2.0-flash-lite", (75, 75, 300), 260.0, 4.0, 0.30),
        _chat("gpt-4o-mini", (150, 75, 600), 400.0, 6.0, 0.45),
        _embeddings("text-embedding-004", 100, 2_048, (0.28, 0.45, 0.10), 1.0),
        _embeddings("text-embedding-005", 100, 2_048, (0.30, 0.51, 0.09), 0.7),
        _embeddings("text-embedding-3-small", 20, 8_191, (0.28, 0.45, 0.10), 1.0),
    )
}
"""The models by name."""
