"""The names that a process of the service can resolve: those of a file which the test may change at any time.

Stands in for the operating system's resolver, which only root could point elsewhere. Each line is a name and the addresses
that it is answered with, one after the other and then from the beginning.
"""

from __future__ import annotations

import itertools
import socket
from collections import defaultdict
from pathlib import Path
from typing import Any


class Names:
    """Answers from the file as it is at that moment; what does not stand there does not exist."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._asked: defaultdict[str, itertools.count[int]] = defaultdict(itertools.count)
        self._system = socket.getaddrinfo

    def getaddrinfo(self, host: Any, port: Any, *arguments: Any, **named: Any) -> Any:
        """Resolve as ``socket.getaddrinfo`` does, in any thread."""
        name = host.decode() if isinstance(host, bytes) else host
        if not str(name).endswith(".test"):
            return self._system(host, port, *arguments, **named)
        lines = (line.split() for line in self._file.read_text().splitlines())
        addresses = next((found for own, *found in lines if own == name), None)
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, f"{name} is not known")
        address = addresses[next(self._asked[str(name)]) % len(addresses)]
        return self._system(address, port, *arguments, **named)


def install(file: str) -> None:
    """Let this process resolve from a file from now on."""
    socket.getaddrinfo = Names(Path(file)).getaddrinfo
