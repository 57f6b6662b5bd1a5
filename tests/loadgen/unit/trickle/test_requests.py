from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Any

import msgspec
import pytest

from adaptive_questions.domain.gap import Language
from adaptive_questions.wire import requests as wire
from loadgen.trickle.requests import PREFIX, Ask, asks, read_material

PARSERS: dict[str, Callable[[bytes], Any]] = {
    "batch-generate": wire.parse_batch,
    "generate": wire.parse_generate,
    "generate/stream": wire.parse_generate,
    "evaluate": wire.parse_evaluate,
    "refine": wire.parse_refine,
}


@pytest.fixture(scope="module")
def asked() -> list[Ask]:
    return list(islice(asks(1, read_material()), 6_000))


def path_of(ask: Ask) -> str:
    return ask.path.removeprefix(f"{PREFIX}/")


def gaps_of(ask: Ask) -> list[dict[str, str]]:
    return ask.body["gaps"] if "gaps" in ask.body else [ask.body["gap"]]


def test_same_seed_asks_the_same() -> None:
    first, again, other = (list(islice(asks(seed, read_material()), 50)) for seed in (7, 7, 8))

    assert first == again
    assert first != other


def test_workload_takes_every_request(asked: list[Ask]) -> None:
    for ask in asked:
        given = PARSERS[path_of(ask)](msgspec.json.encode(ask.body))
        assert given.brief().parsed_cv == ask.body["parsed_cv"]


def test_kinds_come_in_their_shares(asked: list[Ask]) -> None:
    found = Counter(path_of(ask) for ask in asked)

    shares = {path: round(100 * count / len(asked)) for path, count in found.items()}
    wanted = {
        "batch-generate": 60,
        "generate": 15,
        "generate/stream": 10,
        "evaluate": 8,
        "refine": 7,
    }
    assert shares.keys() == wanted.keys()
    assert all(abs(shares[path] - wanted[path]) <= 2 for path in wanted)
    assert all(ask.streamed == (path_of(ask) == "generate/stream") for ask in asked)


def test_batches_have_one_to_five_different_gaps(asked: list[Ask]) -> None:
    batches = [gaps_of(ask) for ask in asked if "gaps" in ask.body]

    assert {len(gaps) for gaps in batches} == {1, 2, 3, 4, 5}
    assert all(len({gap["skill"] for gap in gaps}) == len(gaps) for gaps in batches)


def test_skills_and_priorities_are_mixed_and_some_skills_are_popular(asked: list[Ask]) -> None:
    gaps = [gap for ask in asked for gap in gaps_of(ask)]
    skills = Counter(gap["skill"] for gap in gaps)

    assert len(skills) >= 80
    most, least = skills.most_common()[0][1], skills.most_common()[-1][1]
    assert most > 10 * least
    assert {gap["priority"] for gap in gaps} == {"CRITICAL", "HIGH", "MEDIUM", "LOW"}


def test_users_stay_themselves_over_their_sessions(asked: list[Ask]) -> None:
    users = {ask.user_id for ask in asked}
    languages = {(ask.user_id, ask.body["language"]) for ask in asked}
    profiles = {(ask.user_id, ask.body["parsed_cv"]["title"]) for ask in asked}

    assert len(users) == len(languages) == len(profiles) == 60
    assert len({title for _, title in profiles}) == 12
    assert 5 * 60 < len({ask.session_id for ask in asked}) < len(asked) / 5
    assert all(ask.session_id.startswith(ask.user_id) for ask in asked)


def test_mostly_english_and_every_other_language(asked: list[Ask]) -> None:
    spoken = Counter(ask.body["language"] for ask in asked)

    assert spoken.keys() == {str(language) for language in Language}
    assert spoken["english"] > len(asked) / 2


def test_brought_questions_are_in_the_users_language(asked: list[Ask]) -> None:
    phrases = read_material().phrases

    assert phrases.questions.keys() == {str(language) for language in Language}
    for ask in asked:
        if "question" in ask.body:
            skill = ask.body["gap"]["skill"]
            assert ask.body["question"] == phrases.questions[ask.body["language"]].format(
                skill=skill
            )


def test_no_candidate_has_the_skill_already() -> None:
    for profile in read_material().profiles:
        assert not {*profile.must_have, *profile.nice_to_have} & {*profile.cv["skills"]}
