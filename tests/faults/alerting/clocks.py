"""Clocks that a test may set, as an operator or a bad NTP server would; time itself goes on as ever."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.fixtures import debian


class Clock:
    """The wall clock of the processes that begin with ``environment``; the monotonic one stays the true one."""

    def __init__(self, folder: Path) -> None:
        found = debian.library("libfaketimeMT.so.1", "libfaketime")
        # Where another user, as whom PostgreSQL runs, may read it.
        self._library = Path(shutil.copy(found, folder))
        self._library.chmod(0o755)
        self._file = folder / "clock"
        self.set(0)

    @property
    def environment(self) -> Mapping[str, str]:
        """Return the variables of a process that goes by this clock."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, ahead: int) -> None:
        """Let the clock be so many seconds ahead of the true time from now on."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{ahead:+d}\n")
        fresh.chmod(0o644)
        fresh.replace(self._file)
