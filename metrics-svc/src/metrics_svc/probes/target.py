"""Targets as they are configured: ``name=url``, separated by commas."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from metrics_svc.domain.event import MAX_NAME
from metrics_svc.domain.health import STORE

# Scheme -> (kind, port when the address names none).
SCHEMES: Mapping[str, tuple[str, int | None]] = {
    "postgresql": ("postgresql", 5432),
    "redis": ("redis", 6379),
    "rediss": ("redis", 6379),
    "qdrant": ("qdrant", 6333),
    "http": ("http", 80),
    "https": ("http", 443),
    "tcp": ("tcp", None),
}
_ALLOWED = ", ".join(SCHEMES)
_NAME = re.compile(rf"[\w.:/-]{{1,{MAX_NAME}}}")


class TargetError(ValueError):
    """An entry cannot be used; the message names it, without its password, and says what is allowed."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something that is probed. Its address may hold a password, so it never goes into a log or an answer."""

    name: str
    kind: str
    url: str = field(repr=False)
    host: str = ""
    port: int = 0

    def secrets(self) -> list[str]:
        """Return the parts of the address that must not be told, as written and as meant."""
        parts = urlsplit(self.url)
        found = [text for text in (parts.password, parts.query) if text]
        # The longest first: one may be part of another.
        return sorted({*found, *map(unquote, found)}, key=len, reverse=True)


def store_target(url: str) -> Target:
    """Return the service's own database as a target."""
    return Target(STORE, "postgresql", url)


def parse_targets(text: str) -> list[Target]:
    """Return the targets of a comma separated list of ``name=url``; raises ``TargetError``.

    A comma inside an address is written as %2C.
    """
    found: list[Target] = []
    for number, entry in enumerate(text.split(","), start=1):
        if entry.strip():
            found.append(_target(number, entry.strip(), [target.name for target in found]))
    return found


def _target(number: int, entry: str, known: Sequence[str]) -> Target:
    name, separator, url = (part.strip() for part in entry.partition("="))
    if not separator or not _NAME.fullmatch(name) or "://" in name:
        raise TargetError(
            f"entry {number} is not of the form name=url, for example"
            " redis=redis://127.0.0.1:6379 (a name has letters, digits and . : / - _)"
        )
    if name == STORE:
        raise TargetError(
            f"entry {number}: the name {STORE!r} is taken by the service's own database,"
            " which is always probed"
        )
    if name in known:
        raise TargetError(f"entry {number}: the name {name!r} is given twice")
    return _at(number, name, url)


def _at(number: int, name: str, url: str) -> Target:
    where = f"entry {number} ({name!r})"
    parts = _split(url, where)
    if parts.scheme not in SCHEMES:
        raise TargetError(
            f"{where}: {parts.scheme or 'no'!r} is not a known scheme; allowed: {_ALLOWED}"
        )
    kind, default = SCHEMES[parts.scheme]
    if not parts.hostname:
        raise TargetError(f"{where}: the address names no host")
    port = parts.port or default
    if port is None:
        raise TargetError(f"{where}: the address names no port, as {parts.scheme}://host:port does")
    return Target(name, kind, url, parts.hostname, port)


def _split(url: str, where: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        # Both are parsed, and may fail, only when they are asked for.
        _ = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError:
        raise TargetError(
            f"{where}: the address is not a URL; allowed schemes: {_ALLOWED}"
        ) from None
    return parts
