from __future__ import annotations

from collections import Counter

from adaptive_questions.domain.skill import normalized
from adaptive_questions.knowledge.seed import SHELVES, items


def test_the_shelves_hold_some_of_everything() -> None:
    questions, resources = (items(shelf) for shelf in SHELVES)

    assert len(questions) >= 150
    assert len(resources) >= 120
    assert len({item.skill for item in questions}) >= 60
    assert {item.skill for item in questions} == {item.skill for item in resources}
    assert {item.kind for item in resources} == {"book", "course", "documentation", "exercise"}
    assert all(item.kind == "" for item in questions)


def test_each_item_is_there_once() -> None:
    every = [item for shelf in SHELVES for item in items(shelf)]

    assert len({item.id for item in every}) == len(every)
    assert Counter(normalized(item.title) for item in every).most_common(1)[0][1] == 1


def test_an_item_is_the_same_in_every_process() -> None:
    [first] = [item for item in items("questions") if "two of five ready" in item.title]

    assert first.id == "89de9a31-d8a1-5435-ae78-90a53a86bfa1"
    assert first.text.startswith("Kubernetes: A Deployment stays")
