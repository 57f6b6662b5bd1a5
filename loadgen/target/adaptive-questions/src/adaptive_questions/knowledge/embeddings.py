"""Vectors of texts, each asked of the provider once."""

from __future__ import annotations

import time
from array import array
from collections.abc import Sequence
from hashlib import blake2b

from adaptive_questions.caches.flight import Flight
from adaptive_questions.caches.lookup import Kept
from adaptive_questions.caches.read_through import CacheStats, ReadThrough
from adaptive_questions.llm import Provider


class Embeddings:
    """Gives the vectors of texts; a vector is kept as the bytes of 32-bit floats."""

    def __init__(self, provider: Provider, cache: ReadThrough[bytes]) -> None:
        self._provider = provider
        self._cache = cache

    async def vectors(
        self, texts: Sequence[str], *, model: str, operation: str
    ) -> list[list[float]]:
        """Return a vector for each of ``texts``; raises ``WorkloadError``.

        Those that are nowhere to be found are asked for in one request.
        """
        keys = {text: _key(model, text) for text in texts}
        named = {key: text for text, key in keys.items()}

        async def make(flights: Sequence[Flight[bytes]]) -> None:
            started = time.perf_counter()
            made = await self._provider.embed([named[each.key] for each in flights], model=model)
            share_ms = (time.perf_counter() - started) * 1000 / len(flights)
            for flight, vector in zip(flights, made, strict=True):
                flight.succeed(Kept(vector.tobytes(), share_ms))

        found = await self._cache.find(dict.fromkeys(named), make, operation=operation)
        vectors = {}
        for key, each in found.items():
            if isinstance(each, Exception):
                # Others may raise the same error: each begins its traceback anew.
                raise each.with_traceback(None)
            vectors[key] = array("f", each.value).tolist()
        return [vectors[keys[text]] for text in texts]

    def stats(self) -> CacheStats:
        """Return the counts of the cache."""
        return self._cache.stats()


def _key(model: str, text: str) -> str:
    return blake2b(f"{model}\n{text}".encode(), digest_size=16).hexdigest()
