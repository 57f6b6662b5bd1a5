"""Times, versions and addresses as conditions compare them; ``None`` is what is none."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_EPOCH = date(1970, 1, 1).toordinal()
# RFC 3339; a date alone is its first moment, and without a zone it is in UTC.
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)"
    r"(?:[Tt ](\d\d):(\d\d):(\d\d)(\.\d{1,12})?(?:[Zz]|([+-])(\d\d):(\d\d))?)?",
    re.ASCII,
)
_VERSION = re.compile(
    r"[vV]?(0|[1-9]\d*)(?:\.(0|[1-9]\d*)(?:\.(0|[1-9]\d*))?)?"
    r"(?:-((?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*))?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)
# Longer ones are no versions of anything, and take long to read.
_LONGEST_VERSION = 200
_LONGEST_ADDRESS = 100
# One user's flags are mostly asked one after the other, with the same context.
_REMEMBERED = 1_000

Identifiers = tuple[tuple[int, int, str], ...]
# Major, minor, patch, whether it is a release, and the identifiers of a pre-release.
Version = tuple[int, int, int, bool, Identifiers]
# Version of the protocol, address and mask as whole numbers.
Network = tuple[int, int, int]


def instant(value: object) -> float | None:
    """Return the seconds since 1970 of a time: RFC 3339, a number of seconds, or a ``datetime``."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if isinstance(value, str):
        return _written(value)
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return aware.timestamp()
    if isinstance(value, date):
        return (value.toordinal() - _EPOCH) * 86_400
    return None


def _written(text: str) -> float | None:
    found = _TIME.fullmatch(text) if len(text) <= 64 else None
    if found is None:
        return None
    day, hours, minutes, seconds, fraction, sign, ahead, minutes_ahead = found.groups()
    try:
        days = date.fromisoformat(day).toordinal() - _EPOCH
    except ValueError:
        return None
    if hours is None:
        return days * 86_400
    hour, minute, second = int(hours), int(minutes), int(seconds)
    zone = int(ahead or 0) * 60 + int(minutes_ahead or 0)
    # Second 60 is that of a leap second, which the Unix time counts as the next one.
    if hour > 23 or minute > 59 or second > 60 or zone >= 1440 or int(minutes_ahead or 0) > 59:
        return None
    whole = days * 86_400 + hour * 3600 + minute * 60 + second
    whole += zone * 60 if sign == "-" else -zone * 60
    return whole + float(fraction) if fraction else whole


def version(value: object) -> Version | None:
    """Return what orders versions as SemVer 2.0 does (section 11); minor and patch may be missing."""
    parts = version_parts(value)
    return None if parts is None else parts[0]


def version_parts(value: object) -> tuple[Version, int] | None:
    """Return the version and how many of major, minor and patch are given."""
    if not isinstance(value, str) or len(value) > _LONGEST_VERSION:
        return None
    return _version_parts(value)


@lru_cache(maxsize=_REMEMBERED)
def _version_parts(text: str) -> tuple[Version, int] | None:
    found = _VERSION.fullmatch(text)
    if found is None:
        return None
    major, minor, patch, pre = found.groups()
    given = 1 + (minor is not None) + (patch is not None)
    ordered = (int(major), int(minor or 0), int(patch or 0), pre is None, _identifiers(pre))
    return ordered, given


def _identifiers(pre: str | None) -> Identifiers:
    if pre is None:
        return ()
    return tuple((0, int(each), "") if each.isdigit() else (1, 0, each) for each in pre.split("."))


def network(value: object) -> Network | None:
    """Return the network of a CIDR text; an address alone is a network of itself."""
    if not isinstance(value, str) or len(value) > _LONGEST_ADDRESS:
        return None
    try:
        found = ip_network(value, strict=False)
    except ValueError:
        return None
    first, mask = int(found.network_address), int(found.netmask)
    if found.version == 6 and found.prefixlen >= 96:
        mapped = IPv6Address(first).ipv4_mapped
        if mapped is not None:
            return 4, int(mapped), mask & 0xFFFFFFFF
    return found.version, first, mask


def address(value: object) -> tuple[int, int] | None:
    """Return the version of the protocol and the address; one of v4 within v6 is one of v4."""
    if not isinstance(value, str) or len(value) > _LONGEST_ADDRESS:
        return None
    return _address(value)


@lru_cache(maxsize=_REMEMBERED)
def _address(text: str) -> tuple[int, int] | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv4Address):
        return 4, int(found)
    mapped = found.ipv4_mapped
    return (6, int(found)) if mapped is None else (4, int(mapped))
