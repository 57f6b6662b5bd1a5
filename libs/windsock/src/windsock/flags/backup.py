"""The flags on disk, for a start at which nobody else gives any."""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from windsock.counters import log
from windsock.flags.reading import InvalidFlagsError, read_document
from windsock.flags.versions import Version, from_snapshot, version_of
from windsock.flags.writing import flag_document, segment_document

_FORMAT = 1
_MAX_BYTES = 256 * 1024 * 1024
_ABANDONED_SECONDS = 60.0


class Backup:
    """One file: a line about it, with the digest of the rest, and the flags as a snapshot.

    Processes may share it; each replaces it as a whole, so whoever reads it gets one of theirs.
    """

    def __init__(self, path: Path, environment: str) -> None:
        self._path = path
        self._environment = environment

    def read(self) -> Version | None:
        """Return the flags of the file, ``None`` if there is none that can be used."""
        try:
            found, age = self._read()
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            log.warning("the flags' backup %s is not used: %s", self._path, str(error)[:300])
            return None
        message = "%d flags from the backup %s, written %s ago, until newer ones come"
        log.info(message, len(found.flags), self._path, _told(age))
        return found

    def write(self, version: Version) -> None:
        """Put ``version`` into the file, durably and at once. Raises ``OSError``."""
        body = json.dumps(self._document(version), ensure_ascii=False).encode()
        about = {"windsock_flags_backup": _FORMAT, "blake2b": _digest(body)}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._sweep()
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}.tmp")
        try:
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(json.dumps(about).encode() + b"\n" + body)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise

    def _read(self) -> tuple[Version, float]:
        """Return the flags, and how old they are in seconds."""
        with self._path.open("rb") as file:
            about_file = os.fstat(file.fileno())
            if about_file.st_size > _MAX_BYTES:
                raise ValueError("it is too large")
            about, _, body = file.read().partition(b"\n")
        head = json.loads(about)
        if not isinstance(head, dict) or head.get("windsock_flags_backup") != _FORMAT:
            raise ValueError("it is of another kind")
        if head.get("blake2b") != _digest(body):
            raise ValueError("it is damaged")
        document = json.loads(body)
        environment = document.get("environment") if isinstance(document, dict) else None
        if environment != self._environment:
            raise ValueError(f"it is of environment {environment!r}")
        return from_snapshot(document), max(time.time() - about_file.st_mtime, 0.0)

    def _document(self, version: Version) -> dict[str, Any]:
        # What this SDK cannot read, the next one may.
        unread = [(kind, each.document) for (kind, _), each in version.unreadable.items()]
        defined = version.defined
        return {
            "epoch": version.epoch,
            "revision": version.revision,
            "environment": self._environment,
            "flags": [
                *(flag_document(flag) for flag in defined.flags.values()),
                *(document for kind, document in unread if kind == "flags"),
            ],
            "segments": [
                *(segment_document(segment) for segment in defined.segments.values()),
                *(document for kind, document in unread if kind == "segments"),
            ],
        }

    def _sweep(self) -> None:
        """Remove what a killed process left half written."""
        for path in self._path.parent.glob(f".{self._path.name}.*.tmp"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                    path.unlink()


def read_file(path: Path) -> Version | None:
    """Return the flags of a flags file, ``None`` with a warning if they cannot be used."""
    try:
        return version_of(read_document(path.read_bytes()))
    except (OSError, InvalidFlagsError) as error:
        log.warning("flags file %s: %s (not used)", path, error)
        return None


def _told(seconds: float) -> str:
    """Return a duration in the unit that makes it a short number."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=16).hexdigest()
