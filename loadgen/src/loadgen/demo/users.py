"""Who asks, and which variant of each flag they get: decided as the SDK decides it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

import msgspec

from loadgen.demo.application import LANGUAGE_SHARES, MOST_SHARED
from loadgen.demo.story import Story
from windsock.flags.definition import Flag, Split
from windsock.flags.evaluation import CompiledFlag

_BOOLEAN = {"on": True, "off": False}
_TYPES = {bool: "boolean", str: "string", float: "float"}
# The flags of the reference workload, each given to half of the users.
FLAGS: Mapping[str, Mapping[str, object]] = {
    "use_prompt_cache_optimizer": _BOOLEAN,
    "use_batch_generation": _BOOLEAN,
    "dynamic_quality_thresholds": _BOOLEAN,
    "parallel_rag_searches": _BOOLEAN,
    "experimental_llm_model": {
        "flash-exp": "gemini-2.0-flash-exp",
        "flash-lite": "gemini-2.0-flash-lite",
    },
    "experimental_embedding_model": {
        "te-004": "text-embedding-004",
        "te-005": "text-embedding-005",
    },
    "experimental_rag_threshold": {"strict": 0.7, "relaxed": 0.6},
    "new_ui_dashboard": _BOOLEAN,
    "advanced_quality_evaluation": _BOOLEAN,
}


@dataclass(frozen=True, slots=True)
class Treatment:
    """What the flags do for a user, as the workload names it."""

    stable_prefix: bool
    shared_calls: bool
    dynamic_thresholds: bool
    parallel_searches: bool
    model: str
    embedding_model: str
    relaxed_search: bool
    cards: bool
    advanced_evaluation: bool


@dataclass(frozen=True, slots=True)
class User:
    """``joins`` is the share of the story after which the user first comes.

    ``flags`` is the JSON of ``variants``, as the user's events carry it; ``attributes`` that of a
    run's attributes, by its number of gaps.
    """

    name: str
    joins: float
    variants: Mapping[str, str]
    treatment: Treatment
    flags: msgspec.Raw
    attributes: Mapping[int, msgspec.Raw]


class Population:
    """All users of a story; some come far more often than others."""

    def __init__(self, story: Story) -> None:
        compiled = [_halves(key, values) for key, values in FLAGS.items()]
        there = round(story.users * story.users_at_start)
        late = story.users - there
        random = Random(f"{story.seed}/languages")  # noqa: S311  Reproducible, not secret.
        languages = random.choices(
            [*LANGUAGE_SHARES], weights=[*LANGUAGE_SHARES.values()], k=story.users
        )
        self.users = [
            _user(f"user-{number + 1:03}", (number - there + 1) / (late + 1), language, compiled)
            for number, language in enumerate(languages)
        ]
        # Zipf's law with an exponent below 1: popular users, but nobody alone decides an average.
        self._activity = list(accumulate((rank + 10) ** -0.6 for rank in range(story.users)))

    def draw(self, random: Random, progress: float) -> User:
        """Return who makes a request; only users who have joined do."""
        while True:
            (user,) = random.choices(self.users, cum_weights=self._activity)
            if user.joins <= progress:
                return user


def treatment(variants: Mapping[str, str]) -> Treatment:
    """Return what a variant of each flag does together."""
    value = {key: FLAGS[key][variant] for key, variant in variants.items()}
    return Treatment(
        stable_prefix=value["use_prompt_cache_optimizer"] is True,
        shared_calls=value["use_batch_generation"] is True,
        dynamic_thresholds=value["dynamic_quality_thresholds"] is True,
        parallel_searches=value["parallel_rag_searches"] is True,
        model=str(value["experimental_llm_model"]),
        embedding_model=str(value["experimental_embedding_model"]),
        relaxed_search=variants["experimental_rag_threshold"] == "relaxed",
        cards=value["new_ui_dashboard"] is True,
        advanced_evaluation=value["advanced_quality_evaluation"] is True,
    )


def _halves(key: str, values: Mapping[str, object]) -> CompiledFlag:
    (kind,) = {_TYPES[type(value)] for value in values.values()}
    return CompiledFlag(Flag(key, kind, values, fallthrough=Split(dict.fromkeys(values, 50))))


def _user(name: str, joins: float, language: str, flags: Sequence[CompiledFlag]) -> User:
    variants = {each.flag.key: str(each.evaluate(name).variant) for each in flags}
    treated = treatment(variants)
    about = {"model": treated.model, "language": language}
    return User(
        name,
        joins,
        variants,
        treated,
        _json(variants),
        {gaps: _json({**about, "gaps_in_run": gaps}) for gaps in range(1, MOST_SHARED + 1)},
    )


def _json(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
