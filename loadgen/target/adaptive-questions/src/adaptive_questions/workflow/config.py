"""What the workflow is told from outside."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Config:
    """Where the others are, and how much of everything there may be.

    ``provider`` is the name that prices are looked up under. A ``model`` or ``embedding_model``
    that is given takes the place of what the flags say. Without ``redis_url`` there is no second
    cache layer, without ``qdrant_url`` the knowledge base is in this process's memory.
    ``request_timeout_seconds`` bounds a model call with its waiting for a turn and its retries.
    Addresses can hold passwords, so none is shown.
    """

    openai_base_url: str = field(default="http://127.0.0.1:8011/v1", repr=False)
    openai_api_key: str = field(default="simulated", repr=False)
    provider: str = "google"
    model: str | None = None
    embedding_model: str | None = None
    redis_url: str | None = field(default=None, repr=False)
    qdrant_url: str | None = field(default=None, repr=False)
    qdrant_api_key: str | None = field(default=None, repr=False)
    l1_entries: int = 10_000
    l1_ttl_seconds: float = 300.0
    l2_ttl_seconds: float = 3600.0
    request_timeout_seconds: float = 30.0
    max_model_calls: int = 64
