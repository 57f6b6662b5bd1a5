"""What is to be done for a new version beside putting it in force: report it, and write it down."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from windsock.counters import Warnings
from windsock.flags.backup import Backup
from windsock.flags.reporting import Applied, Reporter, Usage
from windsock.flags.versions import Version
from windsock.worker import Worker

if TYPE_CHECKING:
    from windsock.flags.watching import WatchedSource

REPORT_SECONDS = 10.0
SOON_SECONDS = 0.2
BACKUP_SECONDS = 1.0
# At the end of the process; the next one's reports matter more than this one's last.
_LAST_REPORT_SECONDS = 0.5
_uniform = secrets.SystemRandom().uniform


class Clerk:
    """Reports soon after each new version and every ten seconds; keeps the backup up to date."""

    def __init__(
        self,
        usage: Usage,
        reporter: Reporter | None,
        backup: Backup | None,
        *,
        uniform: Callable[[float, float], float] = _uniform,
    ) -> None:
        self.usage = usage
        self._reporter = reporter
        self._backup = backup
        self._uniform = uniform
        self._source: WatchedSource | None = None
        self._written: Version | None = None
        self._warnings = Warnings()
        self._begin()

    def _begin(self) -> None:
        self._woken = threading.Event()
        self._worker = Worker("windsock-flags-clerk", self._run)
        self._report_at = self._write_at = float("inf")

    def start(self, source: WatchedSource) -> None:
        self._source = source
        self._report_at = time.monotonic() + REPORT_SECONDS
        self._worker.start()

    def applied(self) -> None:
        """Take note of a new version; called by the thread that put it in force."""
        self._woken.set()

    def close(self, deadline: float) -> bool:
        self._worker.stopping.set()
        self._woken.set()
        return self._worker.join(deadline)

    def after_fork(self) -> None:
        if self._reporter is not None:
            self._reporter.after_fork()
        self._begin()

    def _run(self) -> None:
        while not self._worker.stopping.is_set():
            now = time.monotonic()
            wait = min(self._report_at, self._write_at) - now
            if self._woken.wait(max(wait, 0.0) if wait < REPORT_SECONDS else REPORT_SECONDS):
                self._woken.clear()
                self._plan(time.monotonic())
            self._step(time.monotonic())
        self._last_step()

    def _plan(self, now: float) -> None:
        # Spread, as all processes of an application hear of a change in the same moment.
        self._report_at = min(self._report_at, now + self._uniform(0.0, SOON_SECONDS))
        self._write_at = min(self._write_at, now + BACKUP_SECONDS)

    def _step(self, now: float) -> None:
        if now >= self._report_at:
            self._report_at = now + REPORT_SECONDS
            self._guarded(self._report)
        if now >= self._write_at:
            self._write_at = float("inf")
            self._guarded(self._write)

    def _last_step(self) -> None:
        self._guarded(self._write)
        if self._reporter is not None:
            if self._reporter.works:
                self._guarded(lambda: self._report(_LAST_REPORT_SECONDS, ended=True))
            self._reporter.close()

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        # One bad step must not end the thread, which nobody would start again.
        except Exception:  # noqa: BLE001
            self._warnings.warn("failed", "a step beside the flags failed", exc_info=True)

    def _report(self, timeout_seconds: float | None = None, *, ended: bool = False) -> None:
        source, version = self._source, self._confirmed()
        if self._reporter is not None and source is not None and version is not None:
            assert version.revision is not None
            age = time.monotonic() - source.applied_at
            applied = Applied(source.environment, version.epoch, version.revision, age)
            self._reporter.send(applied, timeout_seconds, ended=ended)

    def _write(self) -> None:
        version = self._confirmed()
        if self._backup is None or version is None or version is self._written:
            return
        try:
            self._backup.write(version)
            self._written = version
        except OSError as error:
            self._warnings.warn("backup", "the flags' backup cannot be written: %s", error)

    def _confirmed(self) -> Version | None:
        """Return what is in force, if this process has it from the source."""
        source = self._source
        if source is None or source.is_backup or not isinstance(source.version, Version):
            return None
        return source.version if source.version.revision is not None else None
