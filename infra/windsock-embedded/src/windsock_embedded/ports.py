"""Ports of the stack: free or taken, and by whom."""

import socket

import psutil

from windsock_embedded.errors import EmbeddedError


def free_port() -> int:
    """Return a port that is free now; nothing holds it until it is bound again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Tell whether 127.0.0.1:``port`` can be bound; a socket in TIME_WAIT does not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def owner(port: int) -> str:
    """Say who listens on ``port``, as far as we may know; else the empty string."""
    try:
        listeners = psutil.net_connections(kind="tcp")
    except (psutil.AccessDenied, OSError):
        return ""
    for listener in listeners:
        if listener.status != psutil.CONN_LISTEN or not listener.laddr:
            continue
        if listener.laddr.port == port and listener.pid:
            try:
                return f"{psutil.Process(listener.pid).name()}, pid {listener.pid}"
            except psutil.Error:
                return f"pid {listener.pid}"
    return ""


def check(name: str, port: int, *, flag: str, variable: str, or_else: str = "") -> None:
    """Refuse a taken port with a line that says how to choose another, or what to do ``or_else``."""
    if is_free(port):
        return
    by = owner(port)
    raise EmbeddedError(
        f"port {port} for {name} is taken{f' by {by}' if by else ''}:"
        f" choose another with {flag} PORT or {variable}=PORT, or stop what holds it{or_else}"
    )
