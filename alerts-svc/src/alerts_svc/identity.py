"""Who acts, by name, and whether the process of a name has ended."""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path

_PROC = Path("/proc")
# Ended, but not yet taken note of by its parent.
_DEAD = frozenset("ZX")


def new_owner() -> str:
    """Return a name that nobody else has: of this process (machine, process id, when it began), and of one service in it.

    Only where the system tells both (Linux) can ``has_ended`` say anything of it.
    """
    place, began = _place(), _began(os.getpid())
    last = "" if began is None else began[1]
    return f"{socket.gethostname()}:{place}:{os.getpid()}:{last}:{uuid.uuid4().hex[:8]}"


def has_ended(name: str) -> bool:
    """Return whether the process of that name ran here, and is gone. When in doubt it is not."""
    _, _, rest = name.partition(":")
    place, _, rest = rest.partition(":")
    pid, _, rest = rest.partition(":")
    last = rest.partition(":")[0]
    if not last or not place or place != _place() or not pid.isdecimal():
        return False
    began = _began(int(pid))
    return began is None or began[0] in _DEAD or began[1] != last


def _place() -> str:
    """Return what tells this boot of this machine, and its numbering of processes, from any other."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        space = os.readlink(_PROC / "self/ns/pid")
    except OSError:
        return ""
    return f"{boot}-{''.join(filter(str.isdigit, space))}"


def _began(pid: int) -> tuple[str, str] | None:
    """Return a process's state and when it began, in ticks since the boot; ``None`` if there is none."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The name of the program comes before, in parentheses, and may hold anything (proc(5)).
    fields = text.rpartition(")")[2].split()
    return fields[0], fields[19]
