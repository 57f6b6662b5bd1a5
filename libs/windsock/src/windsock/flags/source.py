"""Where flags come from."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from windsock.counters import log
from windsock.flags.definition import Flag
from windsock.flags.evaluation import PARSE_ERROR, PROVIDER_NOT_READY, CompiledFlag
from windsock.flags.reading import InvalidFlagsError, read_flags

CHECK_SECONDS = 1.0
# A file's time of change has the precision of the kernel's clock tick, at best.
_UNSETTLED_SECONDS = 2.0

# The flags of one version by key. Nobody changes one: a new version is another object.
Flags = Mapping[str, CompiledFlag]


@dataclass(frozen=True, slots=True)
class NoFlags:
    """Why there are no flags, as error code and message."""

    code: str
    message: str


class FlagSource(Protocol):
    """Gives the flags in force; asked at each evaluation, so it must be quick."""

    def current(self) -> Flags | NoFlags: ...


class MemorySource:
    """Flags that never change, or the reason why there are none."""

    def __init__(self, flags: Flags | NoFlags) -> None:
        self._flags = flags

    def current(self) -> Flags | NoFlags:
        return self._flags


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look at the file found: all of it is of one moment, and replaced as one."""

    flags: Flags | NoFlags
    text: bytes | None = None
    signature: tuple[int, ...] | None = None


class FileSource:
    """Flags of a file, looked at again when a flag is evaluated, at most once a second.

    What cannot be read or used leaves the last good flags in force, and is reported on the
    logger ``windsock`` once. There is no thread and no lock, so nothing to lose in a fork:
    two threads may read the file at once, and then the next look repairs what the slower did.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._next_look = clock() + CHECK_SECONDS
        self._problem = ""
        self._last = _Look(NoFlags(PROVIDER_NOT_READY, "not read yet"))
        self._look()

    def current(self) -> Flags | NoFlags:
        now = self._clock()
        if now >= self._next_look:
            self._next_look = now + CHECK_SECONDS
            self._look()
        return self._last.flags

    def _look(self) -> None:
        last = self._last
        try:
            if last.signature is not None and _signature(os.stat(self._path)) == last.signature:
                return
            text, signature = _read(self._path)
        except OSError as error:
            self._last = _Look(
                self._failed(last.flags, PROVIDER_NOT_READY, f"cannot be read: {error}")
            )
            return
        flags = last.flags if text == last.text else self._flags_of(text, last.flags)
        self._last = _Look(flags, text, signature)

    def _flags_of(self, text: bytes, former: Flags | NoFlags) -> Flags | NoFlags:
        try:
            flags = compiled(read_flags(text))
        except InvalidFlagsError as error:
            return self._failed(former, PARSE_ERROR, str(error))
        self._problem = ""
        log.info("%d flags read from %s", len(flags), self._path)
        return flags

    def _failed(self, former: Flags | NoFlags, code: str, problem: str) -> Flags | NoFlags:
        if problem != self._problem:
            self._problem = problem
            kept = "no flags yet" if isinstance(former, NoFlags) else "the former flags stay"
            log.warning("flags file %s: %s (%s)", self._path, problem, kept)
        if isinstance(former, NoFlags):
            return NoFlags(code, f"the flags file {problem}")
        return former


def _read(path: Path) -> tuple[bytes, tuple[int, ...] | None]:
    """Return the text of the file and its signature, ``None`` as long as that may not tell a change."""
    with path.open("rb") as file:
        # Of the open file, so that it is not that of one put there a moment later.
        status = os.fstat(file.fileno())
        text = file.read()
    settled = time.time() - status.st_mtime > _UNSETTLED_SECONDS
    return text, _signature(status) if settled else None


def compiled(flags: Mapping[str, Flag]) -> Flags:
    return {key: CompiledFlag(flag) for key, flag in flags.items()}


def _signature(status: os.stat_result) -> tuple[int, ...]:
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev
