"""Token counts of the o200k_base vocabulary, which rs-bpe carries in its package."""

from __future__ import annotations

import asyncio
import re
from array import array
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Protocol

# The extension itself: its Python wrapper cannot be imported, and neither has types.
from rs_bpe.bpe import openai  # type: ignore[import-not-found]

NAME = f"o200k_base (rs-bpe {version('rs-bpe')})"

# Texts of a prompt come again and again. Longer ones are rare, and keeping them would take too much memory.
_KEPT_CHARS = 32_768
_KEPT_TEXTS = 512
# Counting holds the interpreter for about 15 ns a character.
_PIECE_CHARS = 100_000
# The vocabulary's rules never join what stands before a line break with a letter after it.
_SEAM = re.compile(r"\n(?=[A-Za-z])")


class _Vocabulary(Protocol):
    """What we use of rs-bpe's tokenizer, which has no types."""

    def count(self, text: str, /) -> int: ...

    def encode(self, text: str, /) -> list[int]: ...

    def decode(self, ids: list[int], /) -> str | None: ...


_o200k: _Vocabulary = openai.o200k_base()


def count(text: str) -> int:
    """Return the number of tokens of ``text``."""
    return _o200k.count(text)


def encode(text: str) -> array[int]:
    """Return the token ids of ``text``; the array may be shared, so it must not be changed."""
    return _kept(text) if len(text) <= _KEPT_CHARS else array("I", _o200k.encode(text))


@lru_cache(_KEPT_TEXTS)
def _kept(text: str) -> array[int]:
    return array("I", _o200k.encode(text))


async def encode_politely(text: str) -> array[int]:
    """Return the token ids of a text of any length, letting others go on in between."""
    if len(text) <= _PIECE_CHARS:
        return encode(text)
    ids = array("I")
    for piece in _pieces(text):
        ids.extend(_o200k.encode(piece))
        await asyncio.sleep(0)
    return ids


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > _PIECE_CHARS:
        seam = _SEAM.search(text, start + _PIECE_CHARS // 2, start + _PIECE_CHARS)
        end = start + _PIECE_CHARS if seam is None else seam.end()
        yield text[start:end]
        start = end
    yield text[start:]


def decode(ids: Sequence[int]) -> str | None:
    """Return the text of token ids, ``None`` where there is none: an unknown id or half a character."""
    return _o200k.decode(list(ids))


def head(text: str, tokens: int) -> str:
    """Return the beginning of ``text`` that its first ``tokens`` tokens make, without a last half character."""
    ids = encode(text)[:tokens]
    while ids:
        if (found := decode(ids)) is not None:
            return found
        ids = ids[:-1]
    return ""


def portions(text: str, tokens: int) -> Iterator[tuple[str, int]]:
    """Yield ``text`` in portions of about ``tokens`` tokens, each with the number of its tokens."""
    ids = encode(text)
    start = 0
    while start < len(ids):
        end = min(start + tokens, len(ids))
        while (portion := decode(ids[start:end])) is None:
            end += 1
        yield portion, end - start
        start = end
