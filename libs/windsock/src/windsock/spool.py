"""Batches on disk that could not be sent, shared by all processes that use the directory.

One file is one batch, body and all, and its name holds the order, the id and the count:
``<nanoseconds>-<batch id>-<events>.batch``. Whoever sends a file holds an exclusive ``flock``
on it, which the kernel releases when its process dies, however it dies; so a file is
sent by one process at a time, and what a killed process left is picked up by the next.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from windsock.encoding import Batch

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows has none, and no spool.
    fcntl = None

SUFFIX = ".batch"
_ABANDONED_SECONDS = 60.0
_RESCAN_SECONDS = 5.0


@dataclass(slots=True)
class Claim:
    """A file that this process alone may send, until it is removed or released."""

    batch: Batch
    path: Path
    descriptor: int


class Spool:
    """A directory of batches, bounded in bytes. Every method may raise ``OSError``."""

    def __init__(self, directory: Path, *, max_bytes: int) -> None:
        if fcntl is None:
            raise OSError("the spool needs a system with flock")
        self._directory = directory
        self._max_bytes = max_bytes
        self._bytes = 0
        self._scanned_at = float("-inf")
        self._last_name = 0
        self.claim: Claim | None = None

    def open(self) -> None:
        """Make the directory and sweep up what a crash left half written."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._directory.glob(f".*{SUFFIX}.tmp"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                    path.unlink()

    def count(self) -> int:
        return len(self._names())

    def write(self, batch: Batch) -> int:
        """Put ``batch`` on disk, durably; return how many events it cost to make room."""
        if len(batch.body) > self._max_bytes:
            return batch.events
        lost = self._make_room(len(batch.body))
        # Two batches within one tick of the clock must keep their order.
        self._last_name = max(time.time_ns(), self._last_name + 1)
        name = f"{self._last_name:020d}-{batch.batch_id}-{batch.events}{SUFFIX}"
        unfinished = self._directory / f".{name}.tmp"
        try:
            with open(
                os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
            ) as file:
                file.write(batch.body)
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(self._directory / name)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        self._sync_directory()
        self._bytes += len(batch.body)
        return lost

    def claim_oldest(self) -> Claim | None:
        """Lock and read the oldest batch that no other process has in hand."""
        for name in self._names():
            claim = self._lock(name)
            if claim is not None:
                self.claim = claim
                return claim
        return None

    def remove(self, claim: Claim) -> None:
        """Forget a batch that was sent; unlinked before it is unlocked, so nobody sees it again."""
        with suppress(FileNotFoundError):
            claim.path.unlink()
        self._bytes -= len(claim.batch.body)
        self.release(claim)

    def release(self, claim: Claim) -> None:
        """Give a batch back that could not be sent."""
        self.claim = None
        os.close(claim.descriptor)

    def forget_after_fork(self) -> None:
        """Close the child's copy of the lock, so that it ends with the parent's."""
        if self.claim is not None:
            with suppress(OSError):
                os.close(self.claim.descriptor)
            self.claim = None

    def _names(self) -> list[str]:
        with os.scandir(self._directory) as entries:
            return sorted(
                entry.name
                for entry in entries
                if entry.name.endswith(SUFFIX) and not entry.name.startswith(".")
            )

    def _lock(self, name: str) -> Claim | None:
        assert fcntl is not None
        _, _, rest = name.removesuffix(SUFFIX).partition("-")
        batch_id, _, events = rest.rpartition("-")
        path = self._directory / name
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = os.fstat(descriptor)
            # Another process sent and removed it between our look and our lock.
            if status.st_nlink == 0:
                raise BlockingIOError
            with open(descriptor, "rb", closefd=False) as file:
                body = file.read()
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:
            os.close(descriptor)
            raise
        return Claim(
            Batch(batch_id, body, int(events) if events.isdigit() else 0), path, descriptor
        )

    def _make_room(self, needed: int) -> int:
        now = time.monotonic()
        # Other processes write here too, so our own sum is good for a few seconds only.
        if self._bytes + needed > self._max_bytes or now - self._scanned_at > _RESCAN_SECONDS:
            self._bytes = self._measure()
            self._scanned_at = now
        lost = 0
        if self._bytes + needed > self._max_bytes:
            for name in self._names():
                if self._bytes + needed <= self._max_bytes:
                    break
                claim = self._lock(name)
                if claim is not None:
                    lost += claim.batch.events
                    self.remove(claim)
        return lost

    def _measure(self) -> int:
        total = 0
        for name in self._names():
            with suppress(FileNotFoundError):
                total += (self._directory / name).stat().st_size
        return total

    def _sync_directory(self) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
