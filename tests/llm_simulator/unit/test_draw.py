from __future__ import annotations

from statistics import fmean, stdev

from llm_simulator.domain.draw import Draws


def test_same_seed_and_parts_draw_the_same() -> None:
    assert Draws(7).uniform("latency", 12, 0) == Draws(7).uniform("latency", 12, 0)
    assert Draws(7).order(range(9), "a") == Draws(7).order(range(9), "a")


def test_another_seed_or_part_draws_another_value() -> None:
    drawn = {
        Draws(7).uniform("latency", 12, 0),
        Draws(8).uniform("latency", 12, 0),
        Draws(7).uniform("latency", 12, 1),
        Draws(7).uniform("latency", 1, 20),
        Draws(7).uniform("error", 12, 0),
    }

    assert len(drawn) == 5


def test_draws_are_spread_as_they_say() -> None:
    draws = Draws(1)
    uniform = [draws.uniform("u", number) for number in range(4_000)]
    normal = [draws.normal("n", number) for number in range(4_000)]

    assert 0 < min(uniform) < 0.01
    assert 0.99 < max(uniform) < 1
    # Six standard errors each.
    assert abs(fmean(uniform) - 0.5) < 6 * 0.289 / 4_000**0.5
    assert abs(fmean(normal)) < 6 / 4_000**0.5
    assert abs(stdev(normal) - 1) < 6 / 8_000**0.5


def test_what_is_certain_happens_and_what_is_impossible_does_not() -> None:
    draws = Draws(1)

    assert all(draws.happens(1.0, number) for number in range(500))
    assert not any(draws.happens(0.0, number) for number in range(500))


def test_every_option_is_chosen_and_none_is_lost_in_a_shuffle() -> None:
    draws = Draws(1)

    assert {draws.choice("abcd", number) for number in range(100)} == set("abcd")
    assert sorted(draws.order("abcd", "x")) == list("abcd")
    assert len({tuple(draws.order("abcd", number)) for number in range(100)}) > 10
