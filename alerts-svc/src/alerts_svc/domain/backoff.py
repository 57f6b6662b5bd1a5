"""How long to wait before a message is tried again."""

from __future__ import annotations

import hashlib

# Close together at first, so that a blip costs seconds; then ever slower, so that a receiver can recover.
SCHEDULE = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0)
JITTER = 0.2


def delay(message: str, attempt: int) -> float:
    """Return the seconds to wait after an attempt (the first is 1) at a message has failed.

    The jitter of up to a fifth follows from the message and the attempt, so that messages that failed together do not
    come back together, and a recomputation says the same.
    """
    base = SCHEDULE[min(attempt, len(SCHEDULE)) - 1]
    digest = hashlib.blake2b(f"{message}:{attempt}".encode(), digest_size=4).digest()
    share = int.from_bytes(digest) / 0xFFFFFFFF
    return base * (1 + JITTER * (2 * share - 1))
