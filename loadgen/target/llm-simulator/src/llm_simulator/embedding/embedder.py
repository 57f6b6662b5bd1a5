"""Vectors of texts: what they are about by the taxonomy, and their words and parts of words by feature hashing.

The squared length of a vector is divided among family, group and skill (``Model.aspects``), words, their trigrams, and
a little that only this text has. Each part is a unit vector, and parts of different names are nearly orthogonal, so the
cosine of two texts is about the sum of the shares they have in common.
"""

from __future__ import annotations

import math
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llm_simulator.domain.catalogue import Model
from llm_simulator.domain.draw import Draws
from llm_simulator.embedding.taxonomy import Place, taxonomy, words_of

DIMENSIONS = 768
MAX_WORDS = 256

_POSITIONS = 8
_WORD_SHARE, _TRIGRAM_SHARE, _OWN_SHARE = 0.62, 0.35, 0.03
# Short words are mostly grammar, in every language.
_SHORT_LETTERS, _SHORT_WEIGHT = 3, 0.3

Vector = NDArray[np.float64]


class _Hashed(NamedTuple):
    """Where a word and its trigrams stand, with their signs."""

    word_at: NDArray[np.intp]
    word_signs: Vector
    trigrams_at: NDArray[np.intp]
    trigram_signs: Vector


class Embedder:
    """Places texts by seed and model; of a long text, its first ``MAX_WORDS`` different words."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._spaces: dict[str, _Space] = {}

    def place(self, model: Model, text: str, dimensions: int = DIMENSIONS) -> NDArray[np.float32]:
        """Return the unit vector of ``text``, cut to its first ``dimensions``."""
        space = self._spaces.get(model.name)
        if space is None:
            space = self._spaces[model.name] = _Space(self._seed, model)
        return _unit(space.vector(text)[:dimensions]).astype(np.float32)


class _Space:
    """The vectors of one model."""

    def __init__(self, seed: int, model: Model) -> None:
        self._key = blake2b(f"{seed}\0{model.name}".encode(), digest_size=16).digest()
        self._draws = Draws(seed)
        self._aspects = model.aspects
        self._doubt = model.doubt
        self._of_place = lru_cache(4_096)(self._make_of_place)
        self._hashed = lru_cache(20_000)(self._make_hashed)

    def vector(self, text: str) -> Vector:
        words = words_of(text)
        places = set(taxonomy().mentions(words[: 4 * MAX_WORDS]))
        topic = np.zeros(DIMENSIONS)
        for place in sorted(places, key=str):
            topic += place.weight * self._of_place(place)
        # One cue alone makes a text less surely about its group than a skill does.
        about = sum(self._aspects) * min(1.0, sum(place.weight for place in places))
        distinct = list(dict.fromkeys(word.casefold() for word in words)) or [text]
        word, trigrams = self._lexical(distinct[:MAX_WORDS])
        return _sum(
            (about, _unit(topic)),
            ((1 - about) * _WORD_SHARE, word),
            ((1 - about) * _TRIGRAM_SHARE, trigrams),
            ((1 - about) * _OWN_SHARE, self._direction(f"text {text}")),
        )

    def _make_of_place(self, place: Place) -> Vector:
        """Return what a mention is about: family, group and the skill itself."""
        family, group, skill = self._aspects
        name = place.skill or f"cue of {place.group}"
        # The third power: most skills are known well, few badly. Such a skill stands more by itself.
        sure = 1 - self._doubt * self._draws.uniform("sure", name) ** 3
        lost = (family + group) * (1 - sure)
        return _sum(
            (family * sure, self._direction(f"family {place.family}")),
            (group * sure, self._direction(f"group {place.group}")),
            (skill + lost, self._direction(f"skill {name}")),
        )

    def _lexical(self, words: list[str]) -> tuple[Vector, Vector]:
        word, trigrams = np.zeros(DIMENSIONS), np.zeros(DIMENSIONS)
        for text in words:
            hashed = self._hashed(text)
            weight = _SHORT_WEIGHT if len(text) <= _SHORT_LETTERS else 1.0
            np.add.at(word, hashed.word_at, weight * hashed.word_signs)
            np.add.at(trigrams, hashed.trigrams_at, weight * hashed.trigram_signs)
        return _unit(word), _unit(trigrams)

    def _direction(self, name: str) -> Vector:
        digest = blake2b(name.encode(), digest_size=16, key=self._key).digest()
        generator = np.random.Generator(np.random.Philox(int.from_bytes(digest, "big")))
        return _unit(generator.standard_normal(DIMENSIONS))

    def _make_hashed(self, word: str) -> _Hashed:
        framed = f"<{word}>"
        trigrams = {framed[i : i + 3] for i in range(len(framed) - 2)}
        word_at, word_signs = self._positions([f"w{word}"])
        trigrams_at, trigram_signs = self._positions(sorted(f"t{part}" for part in trigrams))
        return _Hashed(word_at, word_signs, trigrams_at, trigram_signs)

    def _positions(self, features: list[str]) -> tuple[NDArray[np.intp], Vector]:
        digests = b"".join(
            blake2b(feature.encode(), digest_size=2 * _POSITIONS, key=self._key).digest()
            for feature in features
        )
        drawn = np.frombuffer(digests, dtype="<u2").astype(np.intp)
        # 65,536 is no multiple of 768 x 2, but nearly: no position is 3 % likelier than another.
        return (drawn >> 1) % DIMENSIONS, np.where(drawn & 1, -1.0, 1.0)


def _sum(*parts: tuple[float, Vector]) -> Vector:
    """Return unit vectors added up by their shares of the squared length."""
    whole = np.zeros(DIMENSIONS)
    for share, part in parts:
        whole += math.sqrt(share) * part
    return whole


def _unit(vector: Vector) -> Vector:
    length = np.linalg.norm(vector)
    return vector / length if length else vector
