"""Where flags come from: what the client asks of a source, and what a source tells it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from windsock.flags.reporting import Usage
from windsock.flags.versions import NoFlags, Version

READY = "ready"
CHANGED = "changed"
STALE = "stale"
ERROR = "error"


@dataclass(frozen=True, slots=True)
class Notice:
    """What happened to the flags: ``ready``, ``changed``, ``stale`` or ``error``.

    ``before`` is what was in force, if it is about another version; ``message`` is for people.
    """

    kind: str
    before: Version | NoFlags | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class FlagsStatus:
    """How fresh the flags are.

    ``age_seconds`` is how long ago the source was last heard of, ``None`` for never. ``stale``
    says that this is longer than it should be, ``backup`` that the flags in force are those of a
    file, until the source answers. ``problem`` is what keeps it from doing so.
    """

    source: str
    environment: str = ""
    revision: int | None = None
    epoch: str = ""
    flags: int = 0
    connected: bool = False
    age_seconds: float | None = None
    stale: bool = False
    backup: bool = False
    problem: str = ""


class FlagSource(Protocol):
    """Holds the flags in force, and tells ``told`` of each change after it has made it."""

    told: Callable[[Notice], None]

    @property
    def version(self) -> Version | NoFlags: ...

    @property
    def usage(self) -> Usage | None:
        """Where evaluations are counted, if the source tells anybody."""

    def start(self) -> None:
        """Begin to follow changes; to be called again makes no difference."""

    def ready(self, timeout: float) -> bool:
        """Wait for flags; return whether there are any."""

    def status(self) -> FlagsStatus: ...

    def close(self, timeout: float) -> bool:
        """Stop to follow changes; return whether it has stopped. The flags stay."""

    def after_fork(self) -> None:
        """Start afresh in a forked child, without its parent's threads and connections."""


class MemorySource:
    """Flags that never change, or the reason why there are none."""

    def __init__(self, version: Version | NoFlags, *, name: str = "memory") -> None:
        self.version = version
        self.usage: Usage | None = None
        self.told: Callable[[Notice], None] = _nobody
        self._name = name

    def start(self) -> None:
        return

    def ready(self, timeout: float) -> bool:
        return isinstance(self.version, Version)

    def status(self) -> FlagsStatus:
        version = self.version
        if isinstance(version, NoFlags):
            return FlagsStatus(self._name, problem=version.message)
        return FlagsStatus(self._name, flags=len(version.flags), connected=True, age_seconds=0.0)

    def close(self, timeout: float) -> bool:
        return True

    def after_fork(self) -> None:
        return


def _nobody(_: Notice) -> None:
    return
