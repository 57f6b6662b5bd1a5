from __future__ import annotations

from array import array

from llm_simulator.domain.prompt_cache import TTL_SECONDS, PromptCache, prefixes


def prompt(*parts: range, model: str = "m") -> list[bytes]:
    return prefixes(model, [array("I", part) for part in parts])


def test_prompt_is_cached_after_its_first_use() -> None:
    cache = PromptCache()

    assert cache.use(prompt(range(2_000)), now=0) == 0
    # The last multiple of 128 from 1,024 on that the prompt reaches.
    assert cache.use(prompt(range(2_000)), now=1) == 1_920


def test_short_prompt_is_never_cached() -> None:
    cache = PromptCache()

    cache.use(prompt(range(1_023)), now=0)

    assert cache.use(prompt(range(1_023)), now=1) == 0
    assert len(cache) == 0


def test_only_the_common_beginning_is_cached() -> None:
    cache = PromptCache()
    cache.use(prompt(range(1_200), range(5_000, 6_000)), now=0)

    assert cache.use(prompt(range(1_200), range(7_000, 8_000)), now=1) == 1_152
    assert cache.use(prompt(range(9_000, 9_100), range(1_200)), now=2) == 0


def test_what_the_parts_are_does_not_matter() -> None:
    assert prompt(range(700), range(700, 1_500)) == prompt(range(1_500))


def test_models_do_not_share_their_caches() -> None:
    cache = PromptCache()
    cache.use(prompt(range(2_000), model="one"), now=0)

    assert cache.use(prompt(range(2_000), model="other"), now=1) == 0


def test_longer_prompt_uses_what_a_shorter_one_left() -> None:
    cache = PromptCache()
    cache.use(prompt(range(1_300)), now=0)

    assert cache.use(prompt(range(3_000)), now=1) == 1_280
    assert cache.use(prompt(range(3_000)), now=2) == 2_944


def test_prompt_is_forgotten_unless_it_is_used() -> None:
    cache = PromptCache()
    cache.use(prompt(range(1_100)), now=0)

    assert cache.use(prompt(range(1_100)), now=TTL_SECONDS - 1) == 1_024
    assert cache.use(prompt(range(1_100)), now=2 * TTL_SECONDS - 2) == 1_024
    assert cache.use(prompt(range(1_100)), now=3 * TTL_SECONDS - 2) == 0


def test_full_cache_drops_what_was_used_longest_ago_from_its_end() -> None:
    cache = PromptCache(max_prefixes=5)
    cache.use(prompt(range(1_280)), now=0)
    cache.use(prompt(range(50_000, 51_280)), now=1)

    assert len(cache) == 5
    assert cache.use(prompt(range(50_000, 51_280)), now=2) == 1_280
    # Of the first, two prefixes are left, and they are its beginning.
    assert cache.use(prompt(range(1_280)), now=3) == 1_152
