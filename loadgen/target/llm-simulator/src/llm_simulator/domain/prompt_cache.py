"""The provider's prompt cache: the longest beginning of a prompt that was seen before.

As OpenAI documents its own: from 1,024 tokens on, in steps of 128, kept while used within some minutes.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

MIN_TOKENS = 1_024
STEP_TOKENS = 128
TTL_SECONDS = 600.0
MAX_PREFIXES = 100_000


def prefixes(model: str, parts: Sequence[array[int]]) -> list[bytes]:
    """Return digests of the beginnings of a prompt, the shortest first: 1,024 tokens, 1,152 and so on.

    ``parts`` are the token ids of the prompt in order. Equal digests mean equal model and equal tokens.
    """
    tokens = b"".join(part.tobytes() for part in parts)
    width = array("I").itemsize
    digests: list[bytes] = []
    running = blake2b(model.encode() + b"\0", digest_size=16)
    start, end = 0, MIN_TOKENS * width
    while end <= len(tokens):
        running.update(tokens[start:end])
        digests.append(running.digest())
        start, end = end, end + STEP_TOKENS * width
    return digests


class PromptCache:
    """Beginnings of prompts, the least recently used of them dropped first; time is handed in."""

    def __init__(self, max_prefixes: int = MAX_PREFIXES) -> None:
        self._max = max_prefixes
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._until)

    def use(self, prompt: Sequence[bytes], now: float) -> int:
        """Return how many tokens of the prompt with these prefixes are cached, then keep all of it."""
        known = 0
        for digest in prompt:
            if self._until.get(digest, now) <= now:
                break
            known += 1
        # The end before the beginning: the beginning alone is still of use, the end alone is not.
        for digest in reversed(prompt):
            self._until[digest] = now + TTL_SECONDS
            self._until.move_to_end(digest)
        while len(self._until) > self._max:
            self._until.popitem(last=False)
        return MIN_TOKENS + (known - 1) * STEP_TOKENS if known else 0
