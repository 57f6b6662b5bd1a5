"""The events of the benchmarks: 12 operations, 5 priorities, 5 models; seeded, so that every run is the same."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

OPERATIONS = [f"operation_{number:02d}" for number in range(12)]
PRIORITIES = ["CRITICAL", "HIGH", "MEDIUM", "LOW", "NONE"]
MODELS = ["gpt-4o-mini", "gpt-4o", "gpt-4.1", "gpt-4.1-mini", "o3"]
# As wide as a real time, so that it can be replaced in a body that is ready to send.
PLACEHOLDER = b"2000-01-01T00:00:00.000000Z"


def event(rng: random.Random, timestamp: str) -> dict[str, Any]:
    """Return one event: 4 in 10 performance, 3 LLM calls, and of the rest half quality, half cache."""
    common = {
        "timestamp": timestamp,
        "operation": rng.choice(OPERATIONS),
        "gap_priority": rng.choice(PRIORITIES),
        "user_id": f"user-{rng.randrange(2_000)}",
        "session_id": f"session-{rng.randrange(20_000)}",
    }
    draw = rng.random()
    if draw < 0.4:
        duration = round(rng.lognormvariate(6.5, 0.8), 3)
        if rng.random() < 0.02:
            return {
                "type": "performance", **common, "duration_ms": duration,
                "status": "error", "error_type": "TimeoutError", "error_message": "no answer in time",
            }  # fmt: skip
        return {"type": "performance", **common, "duration_ms": duration}
    if draw < 0.7:
        prompt = rng.randrange(200, 6_000)
        return {
            "type": "llm_call", **common, "provider": "openai", "model": rng.choice(MODELS),
            "input_tokens": prompt, "output_tokens": rng.randrange(20, 800),
            "cached_input_tokens": rng.choice([0, prompt // 2]),
            "duration_ms": round(rng.lognormvariate(7, 0.6), 3),
        }  # fmt: skip
    if draw < 0.85:
        return {
            "type": "quality", **common, "score": round(rng.uniform(3, 10), 2),
            "refined": rng.random() < 0.3, "accepted_first_pass": rng.random() < 0.7,
        }  # fmt: skip
    hit = rng.random() < 0.8
    return {
        "type": "cache", **common, "layer": rng.choice(["l1", "l2"]), "hit": hit,
        **({"saved_ms": 120.5} if hit else {"miss_reason": "cold"}),
    }  # fmt: skip


def batch(rng: random.Random, timestamps: Iterator[str]) -> bytes:
    """Return the body of a batch with one event for each of ``timestamps``."""
    identity = uuid.UUID(int=rng.getrandbits(128), version=4)
    events = [event(rng, timestamp) for timestamp in timestamps]
    return json.dumps({"batch_id": str(identity), "events": events}).encode()


def stamp(moment: float) -> str:
    """Return a Unix time as the events carry it."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
