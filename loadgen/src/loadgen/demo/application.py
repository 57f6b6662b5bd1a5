"""The reference workload as the demo tells it, as numbers: tokens, times, caches, quality.

Times are medians in milliseconds; they vary by a lognormal factor. What a flag does is not a number
here: it follows from what the workflow does differently.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChatModel:
    """``token_ms`` is the pace of the answer; ``quality`` is a difference in points of the score."""

    first_token_ms: float
    token_ms: float
    length: float
    """Of its answers, as a share of the others'."""
    quality: float


@dataclass(frozen=True, slots=True)
class Application:
    """Parameters of the workload and of its provider."""

    provider: str = "google"

    instruction_tokens: int = 1_540
    background_tokens: int = 180
    """Candidate and position. Where the order is stable, a prompt begins with these two,"""
    warm_prefix: float = 0.85
    """and the provider has mostly kept the first of them; later calls of a request find both."""
    task_tokens: int = 40
    gap_tokens: int = 30

    found_items: float = 4.0
    """Similar questions and resources per gap under the strict threshold and the older embeddings."""
    found_more_relaxed: float = 2.0
    found_more_newer: float = 1.5
    item_tokens: int = 22

    question_tokens: int = 180
    deep_dive_tokens: int = 100
    evaluation_tokens: int = 80
    advanced_evaluation_tokens: int = 125
    judged_tokens: int = 150
    """Of a question that is put before a model again, to be judged or refined."""

    node_ms: float = 0.05
    search_ms: float = 12.0
    embedding_ms: float = 130.0
    embedding_tokens: int = 6
    near_ms: float = 0.05
    far_ms: float = 1.2
    saved_ms: float = 2_800.0
    """What a question from a cache did not take."""
    limited_ms: float = 2_000.0
    """How long a call takes that ends in 429 after the client's own attempts."""
    timeout_ms: float = 30_000.0
    latency_sigma: float = 0.35

    far_hits: float = 0.25
    embedding_hits: float = 0.65
    expired: float = 0.35
    """Of the misses of the first layer by entries not evicted, the share that was there too long."""

    quality: float = 7.7
    quality_sd: float = 0.75
    quality_per_item: float = 0.07
    advanced_rubric: float = -0.3
    advanced_rubric_sd: float = 0.6
    refined_gain: float = 1.0


MODELS = {
    "gemini-2.0-flash-exp": ChatModel(first_token_ms=500.0, token_ms=2.4, length=1.0, quality=0.0),
    "gemini-2.0-flash-lite": ChatModel(
        first_token_ms=380.0, token_ms=1.9, length=0.8, quality=-0.4
    ),
}

FIXED_THRESHOLD = 7.0
THRESHOLDS = {"CRITICAL": 7.5, "HIGH": 7.0, "MEDIUM": 6.0, "LOW": 5.5}
"""The priorities, the most important first, and the score that each asks for."""

PRIORITY_SHARES = {"CRITICAL": 18, "HIGH": 37, "MEDIUM": 30, "LOW": 15}
"""In percent."""

PATH_SHARES = {
    "batch-generate": 60,
    "generate": 15,
    "generate/stream": 10,
    "evaluate": 8,
    "refine": 7,
}
"""In percent."""

LANGUAGE_SHARES = {
    "english": 70,
    "german": 8,
    "french": 6,
    "spanish": 5,
    "italian": 3,
    "portuguese": 3,
    "dutch": 3,
    "turkish": 2,
}
"""In percent."""

FEWEST_GAPS, MOST_GAPS = 2, 6
"""Of a batch."""
MOST_SHARED = 5
"""Gaps of equal priority that one run takes together, where calls are shared."""
SEPARATE_RUNS = 2
"""Runs at a time, where they are not."""
