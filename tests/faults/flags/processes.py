"""flags-svc, an application that uses it, and Redis, as processes that a test may kill, pause and start again."""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from pathlib import Path
from typing import Any

import orjson

from tests.faults.forked import Forked, ForkedService
from tests.faults.service import until
from windsock_embedded import ports, processes, redis


class FlagsService(ForkedService):
    """One process of the service at a time; ``settings`` are variables of its environment."""

    def __init__(self, name: str, folder: Path, database_url: str, **settings: str) -> None:
        super().__init__(name, folder)
        self.state = folder / f"state-{self.port}"
        self.settings = settings
        self.database_url = database_url
        self.life = 0

    async def start(self, *, crash: str | None = None, flag: str = "", ready: bool = True) -> None:
        """Start the process and wait until it is ready, or if not ``ready`` until it answers at all.

        ``crash`` is a place where it kills itself, ``flag`` what it must have to do with (see ``crashing``).
        """
        environment = {
            "FLAGS_DATABASE_URL": self.database_url,
            "FLAGS_PORT": str(self.port),
            "FLAGS_STATE_DIR": str(self.state),
            "FLAGS_LOG_FORMAT": "json",
            "WINDSOCK_AUTH": "off",
            **self.settings,
            "CRASH_AT": crash or "",
            "CRASH_FLAG": flag,
        }
        self.life += 1
        program = "flags_svc.__main__" if crash is None else "tests.faults.flags.crashing"
        self.begin(program, environment)
        await self.answering("/readyz" if ready else "/livez", mortal=crash is not None)


class Application(Forked):
    """One process that evaluates all the time; ``settings`` are variables of the SDK."""

    def __init__(self, name: str, folder: Path, flags: list[str], **settings: str) -> None:
        super().__init__(name, folder / f"{name}.log")
        self.file = folder / f"{name}-{uuid.uuid4().hex[:6]}.jsonl"
        self._environment = {
            "APPLICATION_FILE": str(self.file),
            "APPLICATION_FLAGS": ",".join(flags),
            "WINDSOCK_FLAGS_BACKUP_FILE": str(folder / f"{name}.backup"),
            **settings,
        }
        self._lives: list[int] = []

    def start(self) -> None:
        """Start a process."""
        self._lives.append(len(self.lines()))
        self.begin("tests.faults.flags.application", self._environment)

    def lines(self) -> list[dict[str, Any]]:
        """Return what it has written down so far, each with the number of the process."""
        if not self.file.exists():
            return []
        whole = self.file.read_bytes().rpartition(b"\n")[0].splitlines()
        found = [orjson.loads(line) for line in whole]
        for number, line in enumerate(found):
            line["life"] = sum(number >= begin for begin in self._lives)
        return found

    def last(self) -> dict[str, Any]:
        """Return what it wrote last, nothing if there is nothing yet."""
        found = self.lines()
        return found[-1] if found else {}

    async def has(self, **values: Any) -> None:
        """Wait until it has written this."""

        async def so() -> bool:
            last = self.last()
            return all(last.get(name) == value for name, value in values.items())

        await until(so, f"{self.name} has {values}, and not {self.last()}")


class RedisServer:
    """A Redis on a port that stays the same; what it knows is lost when it is killed."""

    def __init__(self, folder: Path) -> None:
        self.port = ports.free_port()
        self.url = redis.url(self.port)
        self._program = redis.program(
            folder, port=self.port, log=folder / "redis.log", environment=dict(os.environ)
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = processes.start(self._program)
        redis.wait_ready(self.port)

    def kill(self) -> None:
        """End it as a crash would; nothing is wrong with having no Redis."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    def pause(self) -> None:
        """Stop it where it is: its connections stand, and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
