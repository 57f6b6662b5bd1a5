"""Flags of a file, looked at once a second."""

from __future__ import annotations

import os
import time
from pathlib import Path

from windsock.counters import log
from windsock.flags.evaluation import PARSE_ERROR, PROVIDER_NOT_READY
from windsock.flags.reading import InvalidFlagsError, read_document
from windsock.flags.versions import NoFlags, Version, version_of
from windsock.flags.watching import Hold

CHECK_SECONDS = 1.0
# A file's time of change has the precision of the kernel's clock tick, at best.
_UNSETTLED_SECONDS = 2.0


class FileFeed:
    """Reads the file again when it has changed.

    What cannot be read or used leaves the last good flags in force, and is reported on the
    logger ``windsock`` once.
    """

    name = "file"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text: bytes | None = None
        self._signature: tuple[int, ...] | None = None
        self._version: Version | NoFlags = NoFlags(PROVIDER_NOT_READY, "not read yet")

    def first(self) -> tuple[Version | NoFlags, bool]:
        found = self.look()
        if isinstance(found, NoFlags):
            log.warning("flags: %s (no flags yet)", found.message)
        return found, isinstance(found, Version)

    def listen(self, hold: Hold) -> None:
        while True:
            found = self.look()
            if isinstance(found, NoFlags):
                hold.trouble(found)
            else:
                hold.put(found)
            if hold.stopping.wait(CHECK_SECONDS):
                return

    def interrupt(self) -> None:
        return

    def forget_after_fork(self) -> None:
        return

    def look(self) -> Version | NoFlags:
        """Return the flags of the file as it is now, the same object as long as they are the same."""
        try:
            if self._signature is not None and _signature(os.stat(self._path)) == self._signature:
                return self._version
            text, signature = _read(self._path)
        except OSError as error:
            self._signature = None
            return NoFlags(
                PROVIDER_NOT_READY, f"the flags file {self._path} cannot be read: {error}"
            )
        if text != self._text:
            self._version = self._version_of(text)
            self._text = text
        self._signature = signature
        return self._version

    def _version_of(self, text: bytes) -> Version | NoFlags:
        try:
            former = self._version if isinstance(self._version, Version) else None
            return version_of(read_document(text), former)
        except InvalidFlagsError as error:
            return NoFlags(PARSE_ERROR, f"the flags file {self._path} is wrong: {error}")


def _read(path: Path) -> tuple[bytes, tuple[int, ...] | None]:
    """Return the text of the file and its signature, ``None`` as long as that may not tell a change."""
    with path.open("rb") as file:
        # Of the open file, so that it is not that of one put there a moment later.
        status = os.fstat(file.fileno())
        text = file.read()
    settled = time.time() - status.st_mtime > _UNSETTLED_SECONDS
    return text, _signature(status) if settled else None


def _signature(status: os.stat_result) -> tuple[int, ...]:
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev
