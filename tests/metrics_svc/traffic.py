"""Random events of every kind, and the numbers that counting them one by one gives."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from metrics_svc.domain.histogram import RELATIVE_ERROR

Event = dict[str, Any]
OPERATIONS = ("search", "answer", "rank", "embed")
PRIORITIES = (None, "low", "high")
MODELS = (("acme", "acme-1"), ("acme", "acme-2"), (None, None))


def events(number: int, *, now: datetime, minutes: float, seed: int = 1) -> list[Event]:
    """Return events of the six kinds that lie in the last ``minutes``, but not in the very last one."""
    rng = random.Random(seed)
    made = []
    for _ in range(number):
        age = rng.uniform(60, minutes * 60)
        event = rng.choice(_MAKERS)(rng) | {
            "timestamp": (now - timedelta(seconds=age)).isoformat(),
            "environment": rng.choice(["production", "staging"]),
        }
        if priority := rng.choice(PRIORITIES):
            event["gap_priority"] = priority
        if rng.random() < 0.3:
            event["flags"] = {"ranker": rng.choice("ab"), "cache": "on"}
        made.append(event)
    return made


def _failure(rng: random.Random) -> Event:
    if rng.random() < 0.8:
        return {}
    error_type = rng.choice(["Timeout", "RateLimit", None])
    return {"status": "error"} | ({"error_type": error_type} if error_type else {})


def _performance(rng: random.Random) -> Event:
    return {
        "type": "performance",
        "operation": rng.choice(OPERATIONS),
        "duration_ms": rng.lognormvariate(5, 1.5),
    } | _failure(rng)


def _llm_call(rng: random.Random) -> Event:
    provider, model = rng.choice(MODELS)
    tokens = rng.randrange(1, 20_000)
    event: Event = {
        "type": "llm_call",
        "operation": rng.choice(OPERATIONS),
        "input_tokens": tokens,
        "output_tokens": rng.randrange(2_000),
        "cached_input_tokens": rng.choice([0, tokens // 2]),
    }
    if provider:
        event |= {"provider": provider, "model": model}
    if rng.random() < 0.9:
        event["cost_usd"] = rng.randrange(10**9) / 1e9
    if rng.random() < 0.7:
        event["duration_ms"] = rng.expovariate(1 / 900)
    return event | _failure(rng)


def _quality(rng: random.Random) -> Event:
    event: Event = {"type": "quality", "operation": rng.choice(OPERATIONS)}
    if rng.random() < 0.9:
        event["score"] = rng.randrange(101) / 10
    for name in ("refined", "accepted_first_pass"):
        if rng.random() < 0.8:
            event[name] = rng.random() < 0.4
    return event


def _cache(rng: random.Random) -> Event:
    event: Event = {
        "type": "cache",
        "operation": rng.choice(OPERATIONS),
        "layer": rng.choice(["l1", "l2", "prompt"]),
        "hit": rng.random() < 0.6,
    }
    if not event["hit"] and rng.random() < 0.8:
        event["miss_reason"] = rng.choice(["cold", "expired", "evicted"])
    if event["hit"]:
        event |= {"saved_ms": rng.randrange(1_000), "saved_usd": rng.randrange(10**7) / 1e9}
    return event


def _exposure(rng: random.Random) -> Event:
    return {"type": "exposure", "flag_key": "ranker", "variant": rng.choice("ab")}


def _probe(rng: random.Random) -> Event:
    return {"type": "probe", "target": "redis", "kind": "redis", "up": rng.random() < 0.9}


_MAKERS: Sequence[Callable[[random.Random], Event]] = (
    _performance,
    _llm_call,
    _quality,
    _cache,
    _exposure,
    _probe,
)


def of(found: Iterable[Event], kind: str, **wanted: Any) -> list[Event]:
    """Return the events of a kind whose fields are as wanted."""
    return [e for e in found if e["type"] == kind and all(e.get(k) == v for k, v in wanted.items())]


def percent(part: float, whole: float) -> float | None:
    return round(100 * part / whole, 4) if whole else None


def latencies(found: Sequence[Event]) -> Event:
    """Return what an answer tells of some performance events; percentiles are exact here."""
    values = [e["duration_ms"] for e in found]
    errors = sum(e.get("status") == "error" for e in found)
    quantiles = np.quantile(values, [0.5, 0.95, 0.99]).tolist() if values else [None] * 3
    return {
        "count": len(found),
        "avg_ms": sum(values) / len(values) if values else None,
        "min_ms": min(values, default=None),
        "max_ms": max(values, default=None),
        **dict(zip(("p50_ms", "p95_ms", "p99_ms"), quantiles, strict=True)),
        "samples": len(values),
        "error_count": errors,
        "error_rate_percent": percent(errors, len(found)),
    }


def agrees(
    told: Event, exact: Event, *, loose: Sequence[str] = ("p50_ms", "p95_ms", "p99_ms")
) -> bool:
    """Whether every number is right: percentiles within their error, the others to six digits."""
    for name, value in exact.items():
        if value is None or not isinstance(value, float):
            if told[name] != value:
                return False
        else:
            error = RELATIVE_ERROR if name in loose else 0
            if abs(told[name] - value) > abs(value) * (error + 1e-9) + 1e-6:
                return False
    return True


def cost(found: Iterable[Event], name: str = "cost_usd") -> Decimal:
    """Return the sum of money to the nano-dollar."""
    return sum((Decimal(repr(e[name])) for e in found if name in e), Decimal(0)).quantize(
        Decimal("1e-9")
    )


def reasons(found: Sequence[Event]) -> dict[str, int]:
    """Return the misses of some cache events by reason."""
    counted = Counter(e.get("miss_reason", "unknown") for e in found if not e["hit"])
    return {name: counted[name] for name in ("cold", "expired", "evicted", "unknown")}
