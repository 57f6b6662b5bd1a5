import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.prompt_cache import Lookup, PromptCache


def test_longest_prefix_that_is_cached_counts() -> None:
    cache = PromptCache()
    cache.look_up((0, 1, 2, 3), 2000)

    lookup = cache.look_up((0, 1, 9, 3), 2048)

    assert lookup == Lookup(1024, None)


def test_cached_tokens_never_exceed_the_prompt() -> None:
    cache = PromptCache()
    cache.look_up((0, 1), 600)

    assert cache.look_up((0, 1), 600) == Lookup(600, None)


@pytest.mark.parametrize(
    ("blocks", "tokens"), [((), 0), ((), 511), ((5,), 100)], ids=["empty", "no block", "new block"]
)
def test_first_sight_of_a_prompt_is_a_cold_miss(blocks: tuple[int, ...], tokens: int) -> None:
    assert PromptCache().look_up(blocks, tokens) == Lookup(0, "cold")


def test_prompt_that_had_to_make_room_is_an_evicted_miss() -> None:
    cache = PromptCache(capacity_blocks=2)
    cache.look_up((0, 1), 1024)
    cache.look_up((7, 8), 1024)

    assert cache.look_up((0, 1), 1024) == Lookup(0, "evicted")


def test_end_of_a_prompt_makes_room_before_its_beginning() -> None:
    cache = PromptCache(capacity_blocks=3)
    cache.look_up((0, 1, 2), 1536)
    cache.look_up((7,), 512)

    assert cache.look_up((0, 1, 2), 1536) == Lookup(1024, None)


def test_prompt_larger_than_the_cache_leaves_its_beginning() -> None:
    cache = PromptCache(capacity_blocks=2)
    cache.look_up((0, 1, 2, 3), 2048)

    assert cache.look_up((0, 1, 2, 3), 2048) == Lookup(1024, None)


# Prompts as prefix hashing makes them: an id stands for a block and everything before it.
PROMPTS = st.lists(
    st.lists(st.integers(0, 2), max_size=5).map(
        lambda path: tuple(hash(tuple(path[: n + 1])) for n in range(len(path)))
    ),
    max_size=30,
)


@given(PROMPTS, st.none() | st.integers(1, 12))
def test_cache_agrees_with_a_list_searched_from_end_to_end(
    prompts: list[tuple[int, ...]], capacity: int | None
) -> None:
    cache = PromptCache(capacity)
    recent_last: list[int] = []
    ever: list[tuple[int, ...]] = []
    for prompt in prompts:
        tokens = max(512 * len(prompt) - 100, 0)
        matching = [n for n in range(len(prompt) + 1) if all(b in recent_last for b in prompt[:n])]
        expected = min(512 * max(matching), tokens)
        seen = any(prompt[:1] == earlier[:1] for earlier in ever if prompt)

        lookup = cache.look_up(prompt, tokens)

        assert lookup.cached_tokens == expected
        assert lookup.miss_reason == (None if expected else "evicted" if seen else "cold")
        recent_last = [b for b in recent_last if b not in prompt] + list(reversed(prompt))
        recent_last = recent_last if capacity is None else recent_last[-capacity:]
        ever.append(prompt)


@given(PROMPTS)
def test_unbounded_cache_never_evicts(prompts: list[tuple[int, ...]]) -> None:
    cache = PromptCache()

    reasons = {cache.look_up(prompt, 512 * len(prompt)).miss_reason for prompt in prompts}

    assert "evicted" not in reasons
