"""Keeps the children running: one that dies is started again, and that is said."""

import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from windsock_embedded import processes
from windsock_embedded.errors import EmbeddedError
from windsock_embedded.folder import Folder
from windsock_embedded.processes import Program
from windsock_embedded.progress import NAME_WIDTH

BACKOFF_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
# A child that ran this long is taken for healthy: its next death is the first again.
HEALTHY_SECONDS = 60.0


@dataclass(slots=True)
class Child:
    """A running program, or one that waits for its next start."""

    program: Program
    process: subprocess.Popen[bytes]
    started_at: float
    deaths: int = 0
    start_again_at: float | None = None


class Supervisor:
    """The children in the order of their start."""

    def __init__(self, folder: Folder, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._children: list[Child] = []

    def start(self, program: Program) -> None:
        process = processes.start(program)
        self._children.append(Child(program, process, time.monotonic()))
        self._folder.remember(processes.record_of(program, process))

    def require_alive(self, name: str) -> None:
        """Raise when the child has died; used while waiting for it to become ready."""
        for child in self._children:
            if child.program.name == name and child.process.poll() is not None:
                raise EmbeddedError(
                    f"{name} {_how(child.process)} at its start"
                    f" (log: {child.program.log}):\n{self._folder.log_tail(name)}"
                )

    def tick(self, now: float) -> None:
        """Look after every child once."""
        for child in self._children:
            if child.start_again_at is not None:
                if now >= child.start_again_at:
                    self._start_again(child, now)
            elif child.process.poll() is not None:
                self._bury(child, now)

    def _bury(self, child: Child, now: float) -> None:
        program = child.program
        processes.kill_group(child.process.pid, program.argv[0])
        self._folder.forget(program.name)
        if now - child.started_at > HEALTHY_SECONDS:
            child.deaths = 0
        delay = BACKOFF_SECONDS[min(child.deaths, len(BACKOFF_SECONDS) - 1)]
        child.deaths += 1
        child.start_again_at = now + delay
        self._say(
            f"  {program.name:<{NAME_WIDTH}} {_how(child.process)}; starting it again in {delay:g} s"
            f" (log: {program.log})"
        )

    def _start_again(self, child: Child, now: float) -> None:
        try:
            child.process = processes.start(child.program)
        except EmbeddedError as error:
            self._say(f"  {child.program.name:<{NAME_WIDTH}} {error}")
            child.start_again_at = now + BACKOFF_SECONDS[-1]
            return
        child.started_at, child.start_again_at = now, None
        self._folder.remember(processes.record_of(child.program, child.process))
        self._say(f"  {child.program.name:<{NAME_WIDTH}} started again, pid {child.process.pid}")

    def stop(self) -> None:
        """Stop all children, the last started first."""
        while self._children:
            child = self._children[-1]
            processes.stop(child.program, child.process)
            self._folder.forget(child.program.name)
            self._children.pop()
            self._say(f"  {child.program.name:<{NAME_WIDTH}} stopped")


def _how(process: subprocess.Popen[bytes]) -> str:
    """Say how a process ended."""
    code = process.returncode
    return (
        f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    )
