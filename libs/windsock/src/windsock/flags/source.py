"""Where flags come from."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from windsock.counters import log
from windsock.flags.definition import Flag, InvalidFlagsError, read_flags
from windsock.flags.evaluation import PARSE_ERROR, PROVIDER_NOT_READY, CompiledFlag

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
        self._signature: tuple[int, ...] | None = None
        self._text: bytes | None = None
        self._problem = ""
        self._flags: Flags | NoFlags = NoFlags(PROVIDER_NOT_READY, "not read yet")
        self._look()

    def current(self) -> Flags | NoFlags:
        now = self._clock()
        if now >= self._next_look:
            self._next_look = now + CHECK_SECONDS
            self._look()
        return self._flags

    def _look(self) -> None:
        try:
            if self._signature is not None and _signature(os.stat(self._path)) == self._signature:
                return
            self._read()
        except OSError as error:
            self._signature = self._text = None
            self._failed(PROVIDER_NOT_READY, f"cannot be read: {error}")
        except InvalidFlagsError as error:
            self._failed(PARSE_ERROR, str(error))

    def _read(self) -> None:
        with self._path.open("rb") as file:
            # Of the open file, so that it is not that of one put there a moment later.
            status = os.fstat(file.fileno())
            text = file.read()
        settled = time.time() - status.st_mtime > _UNSETTLED_SECONDS
        self._signature = _signature(status) if settled else None
        if text == self._text:
            return
        self._text = text
        self._flags = compiled(read_flags(text))
        self._problem = ""
        log.info("%d flags read from %s", len(self._flags), self._path)

    def _failed(self, code: str, problem: str) -> None:
        if isinstance(self._flags, NoFlags):
            self._flags = NoFlags(code, f"the flags file {problem}")
        if problem != self._problem:
            self._problem = problem
            kept = "no flags yet" if isinstance(self._flags, NoFlags) else "the former flags stay"
            log.warning("flags file %s: %s (%s)", self._path, problem, kept)


def compiled(flags: Mapping[str, Flag]) -> Flags:
    return {key: CompiledFlag(flag) for key, flag in flags.items()}


def _signature(status: os.stat_result) -> tuple[int, ...]:
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev
