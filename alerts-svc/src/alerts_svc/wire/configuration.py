"""The configuration as it travels: routes, grouping, inhibitions and mute windows in one document."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from alerts_svc.domain.configuration import Configuration, Inhibition, MuteWindow, Route
from alerts_svc.wire.decoding import Identifier, LabelName, decode
from alerts_svc.wire.matchers import MatcherBodies, SomeMatchers, matchers_of, tell_matchers
from windsock_kit.errors import InvalidError

Answer = dict[str, Any]

CONSOLE = "console"
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00", re.ASCII)

_Labels = Annotated[list[LabelName], Meta(max_length=20)]
_Channels = Annotated[list[Identifier], Meta(max_length=50)]


class Weekday(StrEnum):
    """Days as they are told; their order is that of ``MuteWindow.weekdays``."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


_DAYS = tuple(Weekday)


class RouteBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Where alerts that match go."""

    name: Identifier
    matchers: MatcherBodies = []
    channels: _Channels | None = None
    group_by: _Labels | None = None
    proceed: bool = msgspec.field(name="continue", default=False)


class InhibitionBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which alerts hold back which."""

    name: Identifier
    source: SomeMatchers
    target: SomeMatchers
    equal: _Labels = []


class MuteWindowBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Hours of the week in which matching alerts are held back."""

    name: Identifier
    matchers: MatcherBodies = []
    weekdays: Annotated[list[Weekday], Meta(min_length=1, max_length=7)] = msgspec.field(
        default_factory=lambda: list(_DAYS)
    )
    start: str
    end: str
    time_zone: Annotated[str, Meta(max_length=100)] = "UTC"


class ConfigurationBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """All of it; ``version`` is taken, so that what was read can be sent back, and left aside."""

    group_by: _Labels = msgspec.field(default_factory=lambda: ["alertname"])
    group_interval_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 15.0
    repeat_seconds: Annotated[float, Meta(ge=0, le=2_678_400)] = 14_400.0
    fallback: Identifier | None = None
    routes: Annotated[list[RouteBody], Meta(max_length=200)] = []
    inhibitions: Annotated[list[InhibitionBody], Meta(max_length=200)] = []
    mute_windows: Annotated[list[MuteWindowBody], Meta(max_length=200)] = []
    version: int | None = None


_decoder = msgspec.json.Decoder(ConfigurationBody)


def parse_configuration(body: bytes, channels: Collection[str]) -> Configuration:
    """Decode the document; ``channels`` are the names that routes may send to."""
    return configuration_of(decode(_decoder, body), channels)


def configuration_of(given: ConfigurationBody, channels: Collection[str]) -> Configuration:
    """Return the configuration that a body describes; raises ``InvalidError`` with the path of what is wrong."""
    known = {CONSOLE, *channels}
    if given.fallback is not None:
        _check_channel(given.fallback, "fallback", known)
    for place, named in (
        ("routes", given.routes), ("inhibitions", given.inhibitions), ("mute_windows", given.mute_windows),
    ):  # fmt: skip
        _check_names(place, [each.name for each in named])
    return Configuration(
        group_by=tuple(dict.fromkeys(given.group_by)),
        group_interval_seconds=given.group_interval_seconds,
        repeat_seconds=given.repeat_seconds,
        fallback=given.fallback,
        routes=tuple(_route(r, f"routes[{i}]", known) for i, r in enumerate(given.routes)),
        inhibitions=tuple(
            _inhibition(each, f"inhibitions[{i}]") for i, each in enumerate(given.inhibitions)
        ),
        mute_windows=tuple(
            _mute_window(each, f"mute_windows[{i}]") for i, each in enumerate(given.mute_windows)
        ),
    )


def _check_names(place: str, names: Sequence[str]) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise InvalidError(f"the name {name} is given twice", path=f"{place}[{index}].name")


def _check_channel(name: str, path: str, known: Collection[str]) -> None:
    if name not in known:
        raise InvalidError(f"there is no channel {name}", path=path, allowed=sorted(known))


def _route(given: RouteBody, path: str, known: Collection[str]) -> Route:
    for index, name in enumerate(given.channels or ()):
        _check_channel(name, f"{path}.channels[{index}]", known)
    return Route(
        name=given.name,
        matchers=matchers_of(given.matchers, f"{path}.matchers"),
        channels=None if given.channels is None else tuple(dict.fromkeys(given.channels)),
        group_by=None if given.group_by is None else tuple(dict.fromkeys(given.group_by)),
        proceed=given.proceed,
    )


def _inhibition(given: InhibitionBody, path: str) -> Inhibition:
    return Inhibition(
        name=given.name,
        source=matchers_of(given.source, f"{path}.source"),
        target=matchers_of(given.target, f"{path}.target"),
        equal=tuple(dict.fromkeys(given.equal)),
    )


def _mute_window(given: MuteWindowBody, path: str) -> MuteWindow:
    try:
        ZoneInfo(given.time_zone)
    # What is no file of the database raises one of a whole family.
    except (ValueError, OSError, KeyError):
        raise InvalidError(
            f"unknown time zone {given.time_zone!r}",
            path=f"{path}.time_zone",
            allowed=["names of the IANA database, such as Europe/Berlin", "UTC"],
        ) from None
    start, end = _minutes(given.start, f"{path}.start"), _minutes(given.end, f"{path}.end")
    if start == end:
        raise InvalidError("it must be another time than start", path=f"{path}.end")
    return MuteWindow(
        name=given.name,
        matchers=matchers_of(given.matchers, f"{path}.matchers"),
        weekdays=frozenset(_DAYS.index(day) for day in given.weekdays),
        start=start,
        end=end,
        time_zone=given.time_zone,
    )


def _minutes(text: str, path: str) -> int:
    if not _TIME.fullmatch(text):
        raise InvalidError("it must be a time of the day", path=path, allowed=["00:00 to 24:00"])
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def tell_configuration(found: Configuration) -> Answer:
    """Return the configuration as it is told."""
    return {
        "version": found.version,
        "group_by": list(found.group_by),
        "group_interval_seconds": found.group_interval_seconds,
        "repeat_seconds": found.repeat_seconds,
        "fallback": found.fallback,
        "routes": [
            {
                "name": route.name,
                "matchers": tell_matchers(route.matchers),
                "channels": None if route.channels is None else list(route.channels),
                "group_by": None if route.group_by is None else list(route.group_by),
                "continue": route.proceed,
            }
            for route in found.routes
        ],
        "inhibitions": [
            {
                "name": each.name,
                "source": tell_matchers(each.source),
                "target": tell_matchers(each.target),
                "equal": list(each.equal),
            }
            for each in found.inhibitions
        ],
        "mute_windows": [
            {
                "name": each.name,
                "matchers": tell_matchers(each.matchers),
                "weekdays": [_DAYS[day].value for day in sorted(each.weekdays)],
                "start": _clock(each.start),
                "end": _clock(each.end),
                "time_zone": each.time_zone,
            }
            for each in found.mute_windows
        ],
    }


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
