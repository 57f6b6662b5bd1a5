from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from llm_simulator.domain.catalogue import MODELS
from llm_simulator.embedding.embedder import Embedder
from llm_simulator.embedding.taxonomy import Place, taxonomy, words_of

TE_004, TE_005 = MODELS["text-embedding-004"], MODELS["text-embedding-005"]
EMBEDDER = Embedder(seed=1)


def cosine(first: str, second: str, model: Any = TE_004) -> float:
    return float(EMBEDDER.place(model, first) @ EMBEDDER.place(model, second))


@pytest.mark.parametrize(
    "text", ["Kubernetes", "", "!?", "a" * 9_000, "日本語", "the of and", "\n"], ids=repr
)
def test_every_text_has_a_unit_vector(text: str) -> None:
    for dimensions in (768, 256, 1):
        vector = EMBEDDER.place(TE_004, text, dimensions)

        assert vector.shape == (dimensions,)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


def test_vector_depends_on_seed_model_and_text_alone() -> None:
    vector = EMBEDDER.place(TE_004, "Kubernetes at night")

    assert (Embedder(1).place(TE_004, "Kubernetes at night") == vector).all()
    assert abs(Embedder(2).place(TE_004, "Kubernetes at night") @ vector) < 0.2
    assert abs(EMBEDDER.place(TE_005, "Kubernetes at night") @ vector) < 0.2


def test_names_of_one_skill_are_close_and_unlike_skills_are_not() -> None:
    assert cosine("k8s", "Kubernetes") > 0.75
    assert cosine("Kubernetes", "Docker") > cosine("Kubernetes", "AWS") > 0.05
    assert abs(cosine("Kubernetes", "palliative care")) < 0.15


def test_questions_about_one_skill_pass_both_thresholds_and_related_ones_only_the_lower() -> None:
    query = "Kubernetes: runs our services in production"
    same = "Imagine that a release fails. How would you find the cause if Kubernetes was it?"
    related = "How would you bring Docker into a team that has never worked with it?"
    unlike = "How would you calm an angry customer on the telephone?"

    assert 0.7 < cosine(query, same) < 0.9
    assert 0.6 < cosine(query, related) < 0.7
    assert cosine(query, unlike) < 0.2
    assert cosine(query, related, TE_005) > cosine(query, related) + 0.05


def skills() -> list[Place]:
    """Return every skill once."""
    found = {place.skill: place for place in taxonomy().places.values() if place.skill}
    return list(found.values())


def neighbours(model: Any) -> tuple[float, Any]:
    """Return the share of skills whose nearest neighbour is of their family, and all cosines."""
    places = skills()
    vectors = np.array([EMBEDDER.place(model, str(place.skill)) for place in places])
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    nearest = cosines.argmax(axis=1)
    hits = [place.family == places[at].family for place, at in zip(places, nearest, strict=True)]
    return float(np.mean(hits)), cosines


def test_nearest_skill_is_nearly_always_of_the_family_and_more_so_in_the_newer_model() -> None:
    older, older_cosines = neighbours(TE_004)
    newer, newer_cosines = neighbours(TE_005)
    groups = np.array([place.group for place in skills()])
    together = groups[:, None] == groups[None, :]
    np.fill_diagonal(together, val=False)

    assert older > 0.95
    assert newer >= older
    assert newer_cosines[together].mean() > older_cosines[together].mean() + 0.1
    # What a threshold of 0.7 leaves out and one of 0.6 lets in.
    for cosines in (older_cosines[together], newer_cosines[together]):
        assert ((cosines > 0.6) & (cosines <= 0.7)).mean() > 0.1
    families = np.array([place.family for place in skills()])
    apart = families[:, None] != families[None, :]
    assert abs(newer_cosines[apart].mean()) < 0.02


def mentioned(text: str) -> list[str | None]:
    return [place.skill for place in taxonomy().mentions(words_of(text))]


def test_skills_are_found_by_any_of_their_names() -> None:
    assert mentioned("K8s, node.js and CI/CD on .NET") == ["kubernetes", "node.js", "ci/cd", ".net"]
    assert mentioned("We do event-driven architecture") == ["event driven architecture"]
    assert mentioned("C++ and C# and C") == ["c++", "c#", "C"]


def test_longest_name_wins() -> None:
    assert mentioned("sql server") == ["sql server"]
    assert mentioned("react native") == ["react native"]


def test_skill_that_is_also_a_word_must_be_written_as_one_or_stand_alone() -> None:
    assert mentioned("How do you go about it?") == []
    assert mentioned("How do you use Go there?") == ["Go"]
    assert mentioned("go") == ["Go"]


def test_cue_tells_the_group_but_no_skill() -> None:
    (place,) = taxonomy().mentions(words_of("the cluster was full"))

    assert (place.group, place.skill) == ("containers", None)
    assert 0.1 < cosine("the cluster was full", "Kubernetes") < cosine("Docker", "Kubernetes")
