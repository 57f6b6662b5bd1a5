"""What happened while flags were changed and things were broken: what was asked for, stored, and seen by whom.

All times are those of the machine's monotonic clock, which all of its processes share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody asks for ``flag`` to become ``number``, which nobody asks for twice; status 0 is no answer."""

    flag: str
    number: int
    began: float
    ended: float
    status: int
    revision: int = 0
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A row of history; ``number`` is ``None`` for what is none of the counted flags."""

    revision: int
    flag: str
    number: int | None


@dataclass(frozen=True, slots=True)
class Seen:
    """What ``observer`` evaluated at one moment; a service does not say at which revision.

    ``life`` counts the processes that have had the observer's name.
    """

    observer: str
    life: int
    at: float
    values: Mapping[str, int]
    epoch: str = ""
    revision: int | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """An evaluation that raised, or that a service answered with a ``status``; 0 is no answer.

    ``began`` is when the service was asked, if that took a time.
    """

    observer: str
    at: float
    what: str
    status: int | None = None
    began: float | None = None


@dataclass(frozen=True, slots=True)
class Away:
    """The database, or a process by its name, cannot answer.

    ``silent`` says that it was not heard of, but may have been listening: what it was told may come true.
    """

    what: str
    begin: float
    end: float
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Quiet:
    """From ``at`` on nothing is wrong, and these observers are to have these numbers within some seconds."""

    at: float
    within: float
    values: Mapping[str, int]
    observers: tuple[str, ...]


@dataclass(slots=True)
class Record:
    """All of it; history by epoch, each in the order of its revisions."""

    attempts: list[Attempt] = field(default_factory=list)
    history: dict[str, list[Stored]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    away: list[Away] = field(default_factory=list)
    quiet: list[Quiet] = field(default_factory=list)
