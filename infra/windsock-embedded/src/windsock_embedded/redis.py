"""A real Redis on 127.0.0.1."""

import signal
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from windsock_embedded import binaries
from windsock_embedded.errors import EmbeddedError
from windsock_embedded.processes import Program, wait_until


def program(data_dir: Path, *, port: int, log: Path, environment: Mapping[str, str]) -> Program:
    """Describe a server that keeps its snapshot under ``data_dir``."""
    folder = data_dir / "redis"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    executable = binaries.find_redis(environment.get("PATH", ""))
    options = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": str(folder),
        "daemonize": "no",
        "protected-mode": "yes",
        "maxmemory": "256mb",
        # Caches make room for one another; what has no expiry stays.
        "maxmemory-policy": "volatile-lru",
    }
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    return Program(
        name="redis",
        argv=[str(executable), *flags],
        log=log,
        environment={"PATH": environment.get("PATH", "")},
        stop_signals=(signal.SIGTERM,),
    )


def url(port: int) -> str:
    return f"redis://127.0.0.1:{port}/0"


def wait_ready(
    port: int, seconds: float = 15.0, *, check: Callable[[], None] = lambda: None
) -> None:
    """Wait for a PONG; ``check`` is called between tries and may raise."""

    def ready() -> bool:
        check()
        return _pings(port)

    if not wait_until(ready, seconds):
        raise EmbeddedError(f"Redis is not ready after {seconds:.0f} s")


def _pings(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False
