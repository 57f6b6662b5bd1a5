"""Making text of strangers harmless before it is put anywhere: one line of visible characters, of a bounded length."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

MARK = "…"

# ECMA-48 sequences whole, so that no "[31m" is left of them: CSI, OSC and the other strings, single ones.
_ANSI = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# Directional overrides, embeddings, isolates and marks, joiners without width, tags: they show one text and hold another.
_DECEIVING = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200c\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffc\ufffe\uffff\U000e0000-\U000e0fff]"
)
_BLANK = frozenset({"Cc", "Zl", "Zp", "Zs"})
# Looked at at most, times the wanted length: what is taken out must not cost more than that.
_SLACK = 4


def plain(value: object, limit: int = 1024) -> str:
    """Return ``value`` as one line of at most ``limit`` characters, cut with a mark on a code point's border.

    Control characters (CR, LF and NUL too) and separators become spaces, ANSI sequences and characters that change the
    direction or hide vanish, lone surrogates become U+FFFD.
    """
    text = value if isinstance(value, str) else str(value)
    whole = len(text) <= limit * _SLACK
    text = _DECEIVING.sub("", _ANSI.sub("", text[: limit * _SLACK]))
    if not (text.isascii() and text.isprintable()):
        text = "".join(map(_character, text))
    text = " ".join(text.split())
    return cut(text, limit) if whole else cut(text + MARK * 2, limit)


def _character(character: str) -> str:
    category = unicodedata.category(character)
    if category in _BLANK:
        return " "
    return "\N{REPLACEMENT CHARACTER}" if category == "Cs" else character


def cut(text: str, limit: int) -> str:
    """Return at most ``limit`` characters of ``text``, the last a mark if something is missing.

    Combining characters stay with what they belong to, or go with it.
    """
    if len(text) <= limit:
        return text
    end = max(limit - len(MARK), 0)
    while end > 0 and unicodedata.combining(text[end]):
        end -= 1
    return (text[:end].rstrip() + MARK)[:limit]


def plain_map(
    values: Mapping[str, str], *, names: int = 64, key: int = 128, limit: int = 1024
) -> dict[str, str]:
    """Return harmless pairs, at most ``names`` of them."""
    pairs = list(values.items())[:names]
    return {plain(name, key): plain(value, limit) for name, value in pairs}
