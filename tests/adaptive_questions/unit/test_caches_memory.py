from __future__ import annotations

from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from adaptive_questions.caches.lookup import Kept, Miss
from adaptive_questions.caches.memory import MemoryCache
from windsock_kit.testing import FakeClock


def cache(clock: FakeClock, capacity: int = 2) -> MemoryCache[str]:
    return MemoryCache(capacity=capacity, ttl_seconds=60, clock=clock.monotonic)


def test_an_entry_is_kept_to_the_end_of_its_time() -> None:
    clock = FakeClock()
    memory = cache(clock)
    memory.put("a", Kept("A", 12.0))

    clock.advance(59.9)
    before = memory.get("a")
    clock.advance(0.1)

    assert before == Kept("A", 12.0)
    assert memory.get("a") == Miss("expired")
    assert len(memory) == 0


def test_being_used_does_not_make_an_entry_last_longer() -> None:
    clock = FakeClock()
    memory = cache(clock)
    memory.put("a", Kept("A", 1.0))

    clock.advance(40)
    memory.get("a")
    clock.advance(20)

    assert memory.get("a") == Miss("expired")


def test_the_entry_that_was_not_used_for_longest_makes_room() -> None:
    memory = cache(FakeClock())
    for key in ("a", "b"):
        memory.put(key, Kept(key, 1.0))
    memory.get("a")

    memory.put("c", Kept("c", 1.0))

    assert memory.get("b") == Miss("evicted")
    assert memory.get("a") == Kept("a", 1.0)
    assert memory.get("c") == Kept("c", 1.0)


def test_a_key_that_was_never_kept_is_cold() -> None:
    assert cache(FakeClock()).get("a") == Miss("cold")


def test_an_evicted_entry_would_have_expired_by_now() -> None:
    clock = FakeClock()
    memory = cache(clock, capacity=1)
    memory.put("a", Kept("A", 1.0))
    memory.put("b", Kept("B", 1.0))

    clock.advance(60)

    assert memory.get("a") == Miss("expired")


def test_only_the_latest_reasons_are_remembered() -> None:
    memory = cache(FakeClock(), capacity=2)
    for key in "abcde":
        memory.put(key, Kept(key, 1.0))

    assert [memory.get(key) for key in "abc"] == [Miss("cold"), Miss("evicted"), Miss("evicted")]


def test_look_ups_are_counted() -> None:
    memory = cache(FakeClock())
    memory.put("a", Kept("A", 1.0))

    for key in ("a", "a", "b"):
        memory.get(key)

    assert (memory.lookups.hits, memory.lookups.misses) == (2, 1)


@given(
    st.lists(
        st.tuples(st.sampled_from("pgt"), st.sampled_from("abcdef"), st.integers(0, 40)),
        max_size=80,
    ),
    st.integers(1, 4),
)
def test_it_holds_what_a_simple_model_holds(
    steps: list[tuple[str, str, int]], capacity: int
) -> None:
    clock = FakeClock()
    memory = cache(clock, capacity)
    model: OrderedDict[str, tuple[int, float]] = OrderedDict()

    for number, (step, key, seconds) in enumerate(steps):
        if step == "t":
            clock.advance(seconds)
        elif step == "p":
            memory.put(key, Kept(str(number), 0.0))
            model[key] = number, clock.monotonic() + 60
            model.move_to_end(key)
            if len(model) > capacity:
                model.popitem(last=False)
        else:
            found = memory.get(key)
            if key in model and model[key][1] <= clock.monotonic():
                del model[key]
            if key in model:
                model.move_to_end(key)
                assert found == Kept(str(model[key][0]), 0.0)
            else:
                assert isinstance(found, Miss)
        assert len(memory) == len(model)
