"""The flags in force, and how they go on from one revision to the next: pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from windsock.flags.definition import Flag, FlagSet, Segment
from windsock.flags.evaluation import CompiledSet, compile_set
from windsock.flags.reading import InvalidFlagsError, flag_of, segment_of

Document = Mapping[str, Any]
_T = TypeVar("_T", Flag, Segment)


class OutOfStepError(Exception):
    """A change does not follow on what is known: revisions in between are missing."""


@dataclass(frozen=True, slots=True)
class NoFlags:
    """Why there are no flags, as error code and message."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A flag or segment that this SDK cannot use, as it came, and why."""

    document: Document
    problem: str


@dataclass(frozen=True, slots=True)
class Version:
    """The flags of one environment at one revision. Nobody changes one: the next is another.

    What a newer service may send and this SDK cannot read is in ``unreadable``, by kind and key,
    and leaves the other flags alone. Flags that are not of a service have no revision.
    """

    flags: CompiledSet
    defined: FlagSet
    unreadable: Mapping[tuple[str, str], Unreadable] = field(default_factory=dict)
    epoch: str = ""
    revision: int | None = None

    @property
    def id(self) -> str | None:
        """The id of the event that brought this version, to go on from."""
        return None if self.revision is None else f"{self.epoch}-{self.revision}"

    def problem_of(self, key: str) -> str | None:
        """Return what is wrong with a flag that is there and cannot be used."""
        unreadable = self.unreadable.get(("flags", key))
        return self.flags.problems.get(key) if unreadable is None else unreadable.problem


def document_of(data: bytes, name: str = "") -> Document:
    """Return the JSON object that came over the wire. Raises ``InvalidFlagsError``."""
    try:
        document = json.loads(data)
    # The second is raised for brackets without end.
    except (ValueError, RecursionError) as error:
        raise InvalidFlagsError(name, f"is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise InvalidFlagsError(name, "is no object")
    return document


def version_of(
    defined: FlagSet,
    former: Version | None = None,
    *,
    unreadable: Mapping[tuple[str, str], Unreadable] | None = None,
    epoch: str = "",
    revision: int | None = None,
) -> Version:
    """Return the version of ``defined``; flags that are as in ``former`` stay the same objects."""
    if former is None:
        return Version(compile_set(defined), defined, unreadable or {}, epoch, revision)
    before = former.defined
    compiled = former.flags.after(
        _new(before.flags, defined.flags),
        [key for key in before.flags if key not in defined.flags],
        _new(before.segments, defined.segments),
        [key for key in before.segments if key not in defined.segments],
    )
    return Version(compiled, defined, unreadable or {}, epoch, revision)


def from_snapshot(document: Document, former: Version | None = None) -> Version:
    """Return what a snapshot says, as ``version_of``. Raises ``InvalidFlagsError``."""
    epoch, revision = _place(document)
    unreadable: dict[tuple[str, str], Unreadable] = {}
    flags = _read(document, "flags", flag_of, unreadable)
    segments = _read(document, "segments", segment_of, unreadable)
    return version_of(
        FlagSet(flags, segments), former, unreadable=unreadable, epoch=epoch, revision=revision
    )


def after_change(version: Version, document: Document) -> Version:
    """Return ``version`` with a change, itself if that is known already.

    Raises ``OutOfStepError`` if something is missing in between, and ``InvalidFlagsError`` for
    what is no change.
    """
    epoch, revision = _place(document)
    previous = document.get("previous")
    if type(previous) is not int:
        raise InvalidFlagsError("previous", "must be a revision")
    if epoch != version.epoch or version.revision is None or previous > version.revision:
        raise OutOfStepError(f"{epoch}-{revision} after {previous} does not follow {version.id}")
    if revision <= version.revision:
        return version
    removed, removed_segments = _keys(document, "removed"), _keys(document, "removed_segments")
    new: dict[tuple[str, str], Unreadable] = {}
    flags = _read(document, "flags", flag_of, new)
    segments = _read(document, "segments", segment_of, new)
    concerned = {("flags", key) for key in (*flags, *removed)}
    concerned |= {("segments", key) for key in (*segments, *removed_segments)}
    unreadable = {key: each for key, each in version.unreadable.items() if key not in concerned}
    # What can no longer be read must not stay in force as it was.
    removed += [key for kind, key in new if kind == "flags"]
    removed_segments += [key for kind, key in new if kind == "segments"]
    if not (flags or removed or segments or removed_segments):
        return Version(version.flags, version.defined, version.unreadable, epoch, revision)
    defined = FlagSet(
        _changed(version.defined.flags, flags, removed),
        _changed(version.defined.segments, segments, removed_segments),
    )
    compiled = version.flags.after(flags.values(), removed, segments.values(), removed_segments)
    return Version(compiled, defined, unreadable | new, epoch, revision)


def is_older(version: Version, former: Version) -> bool:
    """Return whether ``version`` is of a process that has yet to hear of what another has told already."""
    return (
        version.epoch == former.epoch
        and version.revision is not None
        and former.revision is not None
        and version.revision < former.revision
    )


def changed_keys(before: Version | NoFlags, after: Version) -> list[str]:
    """Return the keys of the flags that are not what they were, sorted."""
    if isinstance(before, NoFlags):
        return sorted(after.flags)
    keys = {key for key, flag in after.flags.items() if before.flags.get(key) is not flag}
    return sorted(keys.union(key for key in before.flags if key not in after.flags))


def _new(before: Mapping[str, _T], after: Mapping[str, _T]) -> list[_T]:
    return [each for key, each in after.items() if not _is_same(before.get(key), each)]


def _is_same(one: Any, other: Any) -> bool:
    """Return whether both have the same effect.

    For ``==`` true is 1, and the order of a split's weights, by which users get theirs, does not
    matter.
    """
    if type(one) is not type(other) or one != other:
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(
            _is_same(value, other[key]) for key, value in one.items()
        )
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return all(_is_same(*pair) for pair in zip(one, other, strict=True))
    names = getattr(one, "__dataclass_fields__", ())
    return all(_is_same(getattr(one, name), getattr(other, name)) for name in names)


def _place(document: Document) -> tuple[str, int]:
    epoch, revision = document.get("epoch"), document.get("revision")
    if not isinstance(epoch, str) or type(revision) is not int:
        raise InvalidFlagsError("", "has no epoch and revision")
    return epoch, revision


def _read(
    document: Document,
    name: str,
    read: Callable[[object, str], _T],
    unreadable: dict[tuple[str, str], Unreadable],
) -> dict[str, _T]:
    found: dict[str, _T] = {}
    for index, each in enumerate(_list(document, name)):
        try:
            item = read(each, f"{name}[{index}]")
            found[item.key] = item
        except InvalidFlagsError as error:
            key = each.get("key") if isinstance(each, dict) else None
            if not isinstance(key, str):
                raise
            unreadable[name, key] = Unreadable(each, str(error))
    return found


def _keys(document: Document, name: str) -> list[str]:
    keys = _list(document, name)
    if not all(isinstance(key, str) for key in keys):
        raise InvalidFlagsError(name, "must be keys")
    return keys


def _list(document: Document, name: str) -> list[Any]:
    value = document.get(name, [])
    if not isinstance(value, list):
        raise InvalidFlagsError(name, "must be a list")
    return value


def _changed(
    before: Mapping[str, _T], new: Mapping[str, _T], removed: Iterable[str]
) -> dict[str, _T]:
    after = {**before, **new}
    for key in removed:
        after.pop(key, None)
    return after
