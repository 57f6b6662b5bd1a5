"""Label sets: what identifies an alert."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

ALERTNAME = "alertname"
SEVERITY = "severity"

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
