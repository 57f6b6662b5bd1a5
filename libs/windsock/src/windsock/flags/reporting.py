"""What this process tells the service: how far its flags are, and what they gave how often."""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import uuid
from collections import deque
from dataclasses import dataclass
from typing import Any

from windsock.counters import Warnings
from windsock.endpoint import UNREACHABLE, Endpoint, KeptConnection
from windsock.fields import MAX_NAME, Cleaner

PATH = "/api/feature-flags/reports"
MAX_EVALUATIONS = 1_000
MAX_CELLS = 100_000
_MAX_ANSWER = 64 * 1024


class Cell:
    """How often a flag gave one variant.

    Counting takes no lock: an addition runs to its end before another thread gets its turn, and
    where threads do run at once, a lost one makes no difference to whether a flag is still used.
    """

    __slots__ = ("count", "flag", "retired", "told", "variant")

    def __init__(self, flag: str, variant: str | None) -> None:
        self.flag = flag
        self.variant = variant
        self.count = 0
        self.told = 0
        self.retired = False


class Usage:
    """The counts that have not been told yet. Each step on a deque is done at once.

    As long as nobody is told, new versions of flags add to them; then the eldest are forgotten.
    """

    def __init__(self, most: int = MAX_CELLS) -> None:
        self._cells: deque[Cell] = deque(maxlen=most)

    def count_in(self, cell: Cell) -> None:
        """Tell what ``cell`` counts from now on, until it is retired."""
        self._cells.append(cell)

    def take(self, limit: int = MAX_EVALUATIONS) -> list[dict[str, Any]]:
        """Return what was counted since it was last asked for, of at most ``limit`` variants."""
        taken: dict[tuple[str, str | None], int] = {}
        for _ in range(len(self._cells)):
            cell = self._cells.popleft()
            new = cell.count - cell.told
            if new and len(taken) < limit:
                cell.told += new
                key = cell.flag, cell.variant
                taken[key] = taken.get(key, 0) + new
                new = 0
            if new or not cell.retired:
                self._cells.append(cell)
        return [
            {"flag": flag, "variant": variant, "count": count}
            for (flag, variant), count in taken.items()
        ]

    def clear(self) -> None:
        self._cells.clear()


@dataclass(frozen=True, slots=True)
class Applied:
    """What is in force in this process, and for how long."""

    environment: str
    epoch: str
    revision: int
    age_seconds: float


class Reporter:
    """Sends reports over one kept-alive connection; one that fails is sent again with the next."""

    def __init__(self, endpoint: Endpoint, usage: Usage, *, timeout_seconds: float = 5.0) -> None:
        self.works = True
        self._connection = KeptConnection(endpoint)
        self._headers = endpoint.headers(Content_Type="application/json")
        self._usage = usage
        self._timeout = timeout_seconds
        self._warnings = Warnings()
        self._begin()

    def _begin(self) -> None:
        self._instance = uuid.uuid4().hex
        self._name = process_name()
        self._sequence = 0
        self._unanswered: list[dict[str, Any]] | None = None

    def send(
        self, applied: Applied, timeout_seconds: float | None = None, *, ended: bool = False
    ) -> bool:
        """Report; return whether the service has answered. What it refuses is not sent again.

        ``ended`` takes leave: the service shows this process no more.
        """
        if self._unanswered is None:
            self._sequence += 1
            self._unanswered = self._usage.take()
        report = {
            "instance": self._instance,
            "kind": "sdk",
            "name": self._name,
            "environment": applied.environment,
            "revision": applied.revision,
            "epoch": applied.epoch,
            "applied_age_seconds": round(applied.age_seconds, 6),
            "sequence": self._sequence,
            # The same as in the report that may have arrived: the number tells that it is one.
            "evaluations": self._unanswered,
            "ended": ended,
        }
        try:
            answer = self._connection.post(
                PATH,
                json.dumps(report).encode(),
                self._headers,
                timeout_seconds=timeout_seconds or self._timeout,
                max_answer=_MAX_ANSWER,
            )
        except UNREACHABLE:
            self.works = False
            return False
        status = answer.status
        self.works = status < http.client.BAD_REQUEST
        if status >= http.client.INTERNAL_SERVER_ERROR or status in {408, 429}:
            return False
        if not self.works:
            self._warnings.warn("refused", "a report on flags was refused: HTTP %d", status)
        self._unanswered = None
        return True

    def close(self) -> None:
        self._connection.close()

    def after_fork(self) -> None:
        """Be another instance, with nothing counted; the parent reports what it did."""
        self._connection.forget_after_fork()
        self._usage.clear()
        self._begin()


def process_name() -> str:
    """Return how people know this process: host, program and process id."""
    program = os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else "python"
    if program == "__main__.py":
        program = os.path.basename(os.path.dirname(sys.argv[0])) or program
    return Cleaner().text(f"{socket.gethostname()}/{program}:{os.getpid()}", MAX_NAME)
