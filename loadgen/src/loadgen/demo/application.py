"""The reference workload as the demo tells it, as numbers: tokens, times, caches, quality.

Times are medians in milliseconds; they vary by a lognormal factor. What a flag does is not a number
here: it follows from what the workflow does differently.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChatModel:
    """``token_ms`` is the pace of the answer; quality is the difference in points of the score."""

    first_token_ms: float
    token_ms: float
    quality: float


@dataclass(frozen=True, slots=True)
class Application:
    """Parameters of the workload and of its provider."""

    provider: str = "google"
    evaluator: str = "standard"
    advanced_evaluator: str = "advanced"

    # What every prompt begins with, where the order is stable, and the provider caches of that.
    instruction_tokens: int = 1_540
    background_tokens: int = 180
    task_tokens: int = 40
    gap_tokens: int = 30
    cached_tokens: int = 1_536
    warm_prefix: float = 0.9
    """Chance that a request finds the instructions in the provider's cache; its own later calls do."""

    found_items: float = 4.0
    """Similar questions and resources per gap under the strict threshold and the older embeddings."""
    found_more_relaxed: float = 2.0
    found_more_newer: float = 1.5
    item_tokens: int = 22

    question_tokens: int = 150
    deep_dive_tokens: int = 90
    evaluation_tokens: int = 75
    advanced_evaluation_tokens: int = 120
    judged_tokens: int = 130
    """Of a question that is put before a model again, to be judged or refined."""

    node_ms: float = 0.4
    search_ms: float = 24.0
    embedding_ms: float = 130.0
    embedding_tokens: int = 12
    near_ms: float = 0.05
    far_ms: float = 1.2
    limited_ms: float = 2_600.0
    """How long a call takes that ends in 429 after the client's own attempts."""
    timeout_ms: float = 30_000.0
    latency_sigma: float = 0.35

    far_hits: float = 0.3
    embedding_hits: float = 0.75
    expired: float = 0.3
    """Of the misses of the first cache layer, the share of entries that were there too long."""

    quality: float = 7.3
    quality_sd: float = 0.75
    quality_per_item: float = 0.07
    advanced_rubric: float = -0.3
    advanced_rubric_sd: float = 0.6
    refined_gain: float = 1.0


MODELS = {
    "gemini-2.0-flash-exp": ChatModel(first_token_ms=360.0, token_ms=5.0, quality=0.0),
    "gemini-2.0-flash-lite": ChatModel(first_token_ms=270.0, token_ms=4.0, quality=-0.4),
}

FIXED_THRESHOLD = 7.0
THRESHOLDS = {"CRITICAL": 7.5, "HIGH": 7.0, "MEDIUM": 6.0, "LOW": 5.5}
"""The priorities, the most important first, and the score that each asks for."""

PRIORITY_SHARES = {"CRITICAL": 18, "HIGH": 37, "MEDIUM": 30, "LOW": 15}
"""In percent."""

KIND_SHARES = {"batch": 60, "generate": 25, "evaluate": 8, "refine": 7}
"""Requests by kind, in percent; streamed ones are among generate."""

MOST_GAPS = 5
MOST_SHARED = 5
"""Gaps of equal priority that one run takes together, where calls are shared."""
SEPARATE_RUNS = 2
"""Runs at a time, where they are not."""
