"""What flags, segments and environments may be called."""

from __future__ import annotations

import re
from collections.abc import Collection

from windsock_kit.errors import InvalidError

# Words that are addresses beside the flags' own.
RESERVED = frozenset(
    {
        "stale",
        "stream",
        "propagation",
        "reports",
        "export",
        "import",
        "segments",
        "environments",
        "change-requests",
        "docs",
        "openapi.yaml",
        "schedule",
        "history",
        "evaluate",
    }
)
MAX_KEY = 128
MAX_VARIANT = 128
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:~|-]{0,127}")
_ENVIRONMENT = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def key_of(value: object, path: str) -> str:
    """Return the key of a flag or segment; raises ``InvalidError``."""
    if not isinstance(value, str) or not _KEY.fullmatch(value):
        raise InvalidError(
            "a key has 1 to 128 of the characters A-Z a-z 0-9 _ . : ~ | - and begins with a letter"
            f" or digit, got {shown(value)}",
            path=path,
            allowed=[_KEY.pattern],
        )
    return value


def environment_of(value: object, path: str) -> str:
    """Return the name of an environment; raises ``InvalidError``."""
    if not isinstance(value, str) or not _ENVIRONMENT.fullmatch(value):
        raise InvalidError(
            "an environment is called by 1 to 63 of the characters a-z 0-9 _ - and begins with a"
            f" letter, got {shown(value)}",
            path=path,
            allowed=[_ENVIRONMENT.pattern],
        )
    return value


def check_variants(names: Collection[str], path: str) -> None:
    """Refuse variants with names that cannot be shown in one line."""
    for name in names:
        if not 1 <= len(name) <= MAX_VARIANT or not name.isprintable():
            raise InvalidError(
                f"a variant is called by 1 to {MAX_VARIANT} printable characters, got {shown(name)}",
                path=path,
            )


def check_free(key: str, path: str = "key") -> None:
    """Refuse a new flag whose address would be that of something else."""
    if key in RESERVED:
        raise InvalidError(f"{key!r} is the address of something else; take another key", path=path)


def shown(value: object) -> str:
    """Return the beginning of what somebody has sent, to tell it back in the words of JSON."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    return repr(value)[:50]


def kind_shown(value: object) -> str:
    """Return what of JSON somebody has sent, where another kind was wanted."""
    if isinstance(value, str):
        return "a text"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return "a number" if is_number else shown(value)
