"""Routes, grouping, inhibition and mute windows: one document, changed as a whole."""

from __future__ import annotations

from dataclasses import dataclass

from alerts_svc.domain.matcher import Matcher


@dataclass(frozen=True, slots=True)
class Route:
    """Where alerts that match go, and how they are grouped; ``None`` takes the document's own.

    The first route that matches is taken; with ``proceed`` (``continue`` on the wire) later ones are too.
    ``channels`` that are ``None`` are all there are.
    """

    name: str
    matchers: tuple[Matcher, ...] = ()
    channels: tuple[str, ...] | None = None
    group_by: tuple[str, ...] | None = None
    proceed: bool = False


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While an alert fires that matches ``source``, those that match ``target`` are held back if ``equal`` agree."""

    name: str
    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MuteWindow:
    """Hours of the week in which matching alerts are held back.

    ``weekdays`` are 0 (Monday) to 6; ``start`` and ``end`` are minutes of the day in ``time_zone`` (IANA), and an end
    before the start lies on the next day.
    """

    name: str
    matchers: tuple[Matcher, ...]
    weekdays: frozenset[int]
    start: int
    end: int
    time_zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Configuration:
    """All of it. ``group_interval_seconds`` is the least time between two messages of one group that are not urgent.

    ``repeat_seconds`` is after how long somebody is reminded of what still fires (0: never), ``fallback`` the
    channel that gets what another one could not deliver.
    """

    version: int = 1
    group_by: tuple[str, ...] = ("alertname",)
    group_interval_seconds: float = 15.0
    repeat_seconds: float = 14_400.0
    fallback: str | None = None
    routes: tuple[Route, ...] = ()
    inhibitions: tuple[Inhibition, ...] = ()
    mute_windows: tuple[MuteWindow, ...] = ()
