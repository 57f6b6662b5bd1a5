"""Which version of an environment's flags is in force: the same in every process, whatever happens elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from flags_svc.live.event_id import EventId
from flags_svc.live.in_force import InForce
from flags_svc.live.replica import Replica

_BYTES = 16


@dataclass(frozen=True, slots=True)
class Version:
    """What an environment has: its ``fingerprint`` is made of the content alone.

    ``since`` is from when on it is known to be that; it may have been so for longer.
    """

    fingerprint: int
    since: EventId
    content: InForce


class Versions:
    """Tells versions of environments apart: revisions count the changes of all of them together."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._known: dict[str, Version] = {}

    def of(self, environment: str) -> Version:
        """Return what is in force now. Raises ``NotFoundError`` and ``UnavailableError``."""
        content = self._replica.in_force(environment)
        known = self._known.get(environment)
        if known is not None and known.content is content:
            return known
        return self._step(environment, known, content)

    def _step(self, environment: str, known: Version | None, content: InForce) -> Version:
        position = self._replica.position
        fingerprint, since = 0, position
        if known is None:
            fingerprint = _difference(b"f", {}, content.flags)
            fingerprint ^= _difference(b"s", {}, content.segments)
        else:
            fingerprint = known.fingerprint
            fingerprint ^= _difference(b"f", known.content.flags, content.flags)
            fingerprint ^= _difference(b"s", known.content.segments, content.segments)
            if fingerprint == known.fingerprint and known.since.epoch == position.epoch:
                since = known.since
        version = self._known[environment] = Version(fingerprint, since, content)
        return version


def _difference(kind: bytes, before: Mapping[str, bytes], after: Mapping[str, bytes]) -> int:
    """Return by what the fingerprint changes: the sum, without carry, of all that goes and all that comes."""
    if before is after:
        return 0
    gone = [(key, text) for key, text in before.items() if after.get(key) is not text]
    come = [(key, text) for key, text in after.items() if before.get(key) is not text]
    return _sum(kind, gone) ^ _sum(kind, come)


def _sum(kind: bytes, items: Iterable[tuple[str, bytes]]) -> int:
    total = 0
    for key, text in items:
        made = blake2b(kind + key.encode() + b"\0" + text, digest_size=_BYTES)
        total ^= int.from_bytes(made.digest())
    return total
