from collections import Counter
from random import Random

import pytest

from loadgen.demo.story import Story
from loadgen.demo.users import Population

STORY = Story()


@pytest.fixture(scope="module")
def population() -> Population:
    return Population(STORY)


def drawn(population: Population, progress: float) -> Counter[str]:
    random = Random(1)
    return Counter(population.draw(random, progress).name for _ in range(20_000))


def test_users_join_one_by_one(population: Population) -> None:
    counts = [len(drawn(population, progress)) for progress in (0.0, 0.5, 1.0)]

    assert counts == [210, 255, 300]


def test_some_come_far_more_often_but_nobody_decides_an_average(population: Population) -> None:
    found = drawn(population, 1.0).most_common()

    assert found[0][1] > 4 * found[-1][1]
    assert found[0][1] < 0.03 * 20_000
