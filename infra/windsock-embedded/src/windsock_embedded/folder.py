"""The data directory: its lock, the processes that run from it, its logs, its addresses."""

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from windsock_embedded.errors import EmbeddedError
from windsock_embedded.processes import ProcessRecord, identity, stop_recorded

LOG_LIMIT_BYTES = 10_000_000
# Gateway and services go before the servers that they use.
_SERVERS = ("redis", "postgres")


class Folder:
    """A data directory. Whoever holds its lock is its launcher; a killed one holds none."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.logs = self.path / "logs"
        self._run = self.path / "run"
        self._lock: TextIO | None = None
        self._log_starts: dict[Path, int] = {}

    def create(self) -> None:
        try:
            for folder in (self.path, self._run, self.logs):
                folder.mkdir(parents=True, exist_ok=True)
            # PostgreSQL's user passes through the first; nobody else looks into the others.
            self.path.chmod(0o711)
            self._run.chmod(0o700)
            self.logs.chmod(0o700)
        except OSError as error:
            raise EmbeddedError(
                f"cannot write to the data directory: {error} (--data-dir chooses another)"
            ) from error

    def lock(self) -> bool:
        """Become the launcher; ``False`` when there is one."""
        lock = (self._run / "lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._lock = lock
        record = ProcessRecord("launcher", os.getpid(), identity(os.getpid()) or "", "", ())
        record.save(self._run / "launcher.json")
        (self._run / "state.json").unlink(missing_ok=True)
        return True

    def unlock(self) -> None:
        """Leave the folder to the next launcher."""
        if self._lock is not None:
            (self._run / "state.json").unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def locked(self) -> bool:
        """Tell whether a launcher is at work."""
        if not (self._run / "lock").exists():
            return False
        with (self._run / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def launcher(self) -> ProcessRecord | None:
        """Return the launcher's process while it lives."""
        record = ProcessRecord.load(self._run / "launcher.json")
        return record if record and record.alive() else None

    def remember(self, record: ProcessRecord) -> None:
        record.save(self._run / f"{record.name}.process.json")

    def forget(self, name: str) -> None:
        (self._run / f"{name}.process.json").unlink(missing_ok=True)

    def records(self) -> list[ProcessRecord]:
        """Return the children on record, in the order in which to stop them."""
        found = [ProcessRecord.load(path) for path in self._run.glob("*.process.json")]
        known = [record for record in found if record]
        return sorted(known, key=lambda r: (r.name in _SERVERS, r.name == "postgres", r.name))

    def sweep(self) -> list[str]:
        """Stop what a killed launcher left and name it; strangers with an old pid are spared."""
        left = []
        for record in self.records():
            if stop_recorded(record):
                left.append(record.name)
            self.forget(record.name)
        return left

    def save_state(self, state: Mapping[str, Any]) -> None:
        part = self._run / "state.part"
        part.write_text(json.dumps(state))
        part.replace(self._run / "state.json")

    def state(self) -> dict[str, Any] | None:
        """Return what the launcher told when everything was ready; ``None`` before that."""
        try:
            state: dict[str, Any] = json.loads((self._run / "state.json").read_text())
        except (OSError, ValueError):
            return None
        return state

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def bound_logs(self) -> None:
        """Set logs that have grown large aside; one old one of each is kept."""
        for log in self.logs.glob("*.log"):
            if log.stat().st_size > LOG_LIMIT_BYTES:
                log.replace(log.with_suffix(".log.1"))
        self._log_starts = {log: log.stat().st_size for log in self.logs.glob("*.log")}

    def log_tail(self, name: str, lines: int = 8) -> str:
        """Return the last lines that this run wrote to a log, for an error message."""
        log = self.log(name)
        try:
            text = log.read_bytes()[self._log_starts.get(log, 0) :][-8000:].decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])
