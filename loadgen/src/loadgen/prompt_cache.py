"""Prompt-cache hits derived from the block ids of a trace's prompts."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from loadgen.traces import BLOCK_TOKENS


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the cache held of one prompt. ``miss_reason`` is None exactly on a hit."""

    cached_tokens: int
    miss_reason: Literal["cold", "evicted"] | None


class PromptCache:
    """A prefix cache as serving systems keep it, one entry per 512-token block.

    The ids of Mooncake's ``hash_ids`` stand for a block *and all before it* (Qin et al.,
    "Mooncake", FAST 2025), so the cached part of a prompt is its longest prefix whose ids
    are all present. ``capacity_blocks`` of None keeps every block; otherwise the least
    recently used go first, and of one prompt its end before its beginning, because the
    beginning alone is still of use.
    """

    def __init__(self, capacity_blocks: int | None = None) -> None:
        self._capacity = capacity_blocks
        self._blocks: OrderedDict[int, None] = OrderedDict()
        # A miss is decided by a prompt's first block, so only first blocks need remembering.
        self._first_blocks: set[int] = set()

    def look_up(self, prompt_blocks: Sequence[int], input_tokens: int) -> Lookup:
        """Return what is cached of the prompt, then keep the prompt."""
        hit_blocks = 0
        for block in prompt_blocks:
            if block not in self._blocks:
                break
            hit_blocks += 1
        evicted = hit_blocks == 0 and not self._first_blocks.isdisjoint(prompt_blocks[:1])
        self._keep(prompt_blocks)

        # The last block is rarely full, so whole blocks may exceed the prompt.
        cached = min(hit_blocks * BLOCK_TOKENS, input_tokens)
        if cached > 0:
            return Lookup(cached, None)
        return Lookup(0, "evicted" if evicted else "cold")

    def _keep(self, prompt_blocks: Sequence[int]) -> None:
        self._first_blocks.update(prompt_blocks[:1])
        for block in reversed(prompt_blocks):
            self._blocks[block] = None
            if self._capacity is not None:
                self._blocks.move_to_end(block)
        if self._capacity is not None:
            while len(self._blocks) > self._capacity:
                self._blocks.popitem(last=False)
