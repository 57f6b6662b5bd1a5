"""Label sets: what identifies an alert."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

ALERTNAME = "alertname"
SEVERITY = "severity"
MAX_LABELS = 64
MAX_NAME = 256
MAX_VALUE = 2048
_CUT = "…"

Labels = Mapping[str, str]


def fingerprint(labels: Labels) -> str:
    """Return 16 hexadecimal digits that stand for a label set, whatever its order.

    Parts are separated by bytes that UTF-8 does not have, so no two sets read the same.
    """
    digest = hashlib.blake2b(digest_size=8)
    for name in sorted(labels):
        digest.update(name.encode(errors="replace") + b"\xff")
        digest.update(labels[name].encode(errors="replace") + b"\xfe")
    return digest.hexdigest()


def clean(text: str, limit: int = MAX_VALUE) -> str:
    """Return a text that every store and every channel can hold.

    Lone surrogates and NUL become ``?`` and U+FFFD, and what is longer than ``limit`` is cut and marked with an ellipsis.
    """
    if len(text) > limit:
        text = text[: limit - 1] + _CUT
    if text.isascii() and "\0" not in text:
        return text
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def safe(labels: Labels) -> dict[str, str]:
    """Return a label set with clean names and values, without empty ones, sorted, and no more than ``MAX_LABELS``.

    An empty value means the same as a label that is not there. Of too many, the alert's name and severity stay.
    """
    kept = {clean(name, MAX_NAME): clean(value) for name, value in labels.items() if name and value}
    names = sorted(kept, key=lambda name: (name not in (ALERTNAME, SEVERITY), name))
    return {name: kept[name] for name in sorted(names[:MAX_LABELS])}
