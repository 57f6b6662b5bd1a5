"""What is asked of the workload: seeded, so that two trickles of one seed ask the same."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import accumulate
from random import Random
from typing import Any

import msgspec

PREFIX = "/api/adaptive-questions"

_PROFILES, _PHRASES = "profiles.json", "phrases.json"
# Shares in percent: whole batches are what the workload is for.
_KINDS = {"batch": 60, "generate": 15, "stream": 10, "evaluate": 8, "refine": 7}
_MOST_GAPS = 5
# Users by language.
_LANGUAGES = {
    "english": 42,
    "german": 5,
    "french": 4,
    "spanish": 3,
    "italian": 2,
    "portuguese": 2,
    "dutch": 1,
    "turkish": 1,
}
_MUST_HAVE = {"CRITICAL": 40, "HIGH": 60}
_NICE_TO_HAVE = {"MEDIUM": 65, "LOW": 35}
# The chance that a user's next request begins another session.
_NEW_SESSION = 0.15
_ANSWERED = 0.6


class Profile(msgspec.Struct, frozen=True):
    """A candidate and the position applied for, as the workload takes them."""

    cv: dict[str, Any]
    position: dict[str, Any]

    @property
    def must_have(self) -> list[str]:
        return list(self.position["must_have"])

    @property
    def nice_to_have(self) -> list[str]:
        return list(self.position["nice_to_have"])


class Phrases(msgspec.Struct, frozen=True):
    """Texts with a place for the ``{skill}``: questions by language, what is said of them, answers."""

    questions: dict[str, str]
    feedback: tuple[str, ...]
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Material:
    """What requests are made of."""

    profiles: Sequence[Profile]
    phrases: Phrases


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. ``streamed`` answers come as server-sent events."""

    path: str
    body: dict[str, Any]
    user_id: str
    session_id: str
    streamed: bool = False


def read_material() -> Material:
    """Return the profiles and phrases that are part of the package."""
    folder = files("loadgen.trickle")
    return Material(
        msgspec.json.decode(folder.joinpath(_PROFILES).read_bytes(), type=list[Profile]),
        msgspec.json.decode(folder.joinpath(_PHRASES).read_bytes(), type=Phrases),
    )


def asks(seed: int, material: Material) -> Iterator[Ask]:
    """Yield requests for ever. What is kept between them does not grow."""
    random = Random(seed)  # noqa: S311  Reproducible, not secret.
    languages = [language for language, users in _LANGUAGES.items() for _ in range(users)]
    random.shuffle(languages)
    users = [_User(number, language, material) for number, language in enumerate(languages)]
    # Some come far more often than others, but nobody makes up the traffic alone.
    activity = _zipf(len(users), head=5)
    while True:
        (user,) = random.choices(users, cum_weights=activity)
        yield user.ask(random)


class _User:
    """Somebody who prepares interviews for one position, some requests in a row."""

    def __init__(self, number: int, language: str, material: Material) -> None:
        self._name = f"user-{number + 1:03}"
        self._profile = material.profiles[number % len(material.profiles)]
        self._phrases = material.phrases
        self._language = language
        self._session = 1

    def ask(self, random: Random) -> Ask:
        """Return the user's next request."""
        if random.random() < _NEW_SESSION:
            self._session += 1
        shared = {
            "parsed_cv": self._profile.cv,
            "parsed_jd": self._profile.position,
            "language": self._language,
        }
        kind = _drawn(random, _KINDS)
        if kind == "batch":
            gaps = self._gaps(random, random.randint(1, _MOST_GAPS))
            return self._asking("batch-generate", {"gaps": gaps, **shared})
        (gap,) = self._gaps(random, 1)
        body = {"gap": gap, **shared}
        match kind:
            case "generate":
                return self._asking("generate", body)
            case "stream":
                return self._asking("generate/stream", body, streamed=True)
            case "evaluate":
                return self._asking("evaluate", {**body, **self._judged(random, gap["skill"])})
            case _:
                return self._asking("refine", {**body, **self._improved(random, gap["skill"])})

    def _asking(self, path: str, body: dict[str, Any], *, streamed: bool = False) -> Ask:
        session = f"{self._name}-{self._session}"
        return Ask(f"{PREFIX}/{path}", body, self._name, session, streamed)

    def _gaps(self, random: Random, count: int) -> list[dict[str, str]]:
        """Draw different skills of the position, those that it names first the most often."""
        skills = [*self._profile.must_have, *self._profile.nice_to_have]
        chosen: dict[str, None] = {}
        while len(chosen) < count:
            (skill,) = random.choices(skills, cum_weights=_zipf(len(skills)))
            chosen[skill] = None
        return [{"skill": skill, "priority": self._priority(random, skill)} for skill in chosen]

    def _priority(self, random: Random, skill: str) -> str:
        return _drawn(random, _MUST_HAVE if skill in self._profile.must_have else _NICE_TO_HAVE)

    def _judged(self, random: Random, skill: str) -> dict[str, str]:
        asked = {"question": self._question(skill)}
        if random.random() < _ANSWERED:
            asked["answer"] = random.choice(self._phrases.answers).format(skill=skill)
        return asked

    def _improved(self, random: Random, skill: str) -> dict[str, str]:
        feedback = random.choice(self._phrases.feedback).format(skill=skill)
        return {"question": self._question(skill), "feedback": feedback}

    def _question(self, skill: str) -> str:
        return self._phrases.questions[self._language].format(skill=skill)


def _drawn(random: Random, shares: dict[str, int]) -> str:
    (name,) = random.choices([*shares], weights=[*shares.values()])
    return name


def _zipf(count: int, *, head: int = 0) -> list[float]:
    """Return cumulative weights by Zipf's law, without its first ``head`` ranks."""
    return list(accumulate(1 / rank for rank in range(1 + head, 1 + head + count)))
