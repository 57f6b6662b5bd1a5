"""The service that the SDK talks to: where it is, and what every request to it carries."""

from __future__ import annotations

# ``getaddrinfo`` would import it in a thread. A child forked during an import has half a
# module for good, so nothing may be imported that late.
import encodings.idna  # noqa: F401
import http.client
import ipaddress
import os
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from windsock.counters import log

# What a request meets on a connection that the server closed while it was idle.
_STALE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)
# OSError: refused, reset, unreachable, unresolved, TLS, timeouts. UnicodeError: no host name.
UNREACHABLE = (OSError, http.client.HTTPException, UnicodeError)


class Endpoint:
    """Uses no proxy and follows no redirect, so that the key stays between the two."""

    def __init__(self, address: str, *, api_key: str | None = None, warns: bool = True) -> None:
        url = urlsplit(address)
        self._secure = url.scheme == "https"
        self._host = url.hostname or ""
        self._port = url.port
        self._prefix = url.path.rstrip("/")
        self._headers = {"User-Agent": "windsock-python"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
            if warns and not self._secure and not _is_loopback(self._host):
                log.warning("the API key travels unencrypted to %s", self._host)

    def headers(self, **more: str) -> dict[str, str]:
        """Return the headers of a request; ``Accept_Encoding`` stands for ``Accept-Encoding``."""
        return self._headers | {name.replace("_", "-"): value for name, value in more.items()}

    def path(self, path: str) -> str:
        """Return ``path`` below what the address has of its own."""
        return self._prefix + path

    def open(self, timeout_seconds: float) -> http.client.HTTPConnection:
        """Return a connection that the first request opens."""
        if not self._secure:
            return http.client.HTTPConnection(self._host, self._port, timeout=timeout_seconds)
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=timeout_seconds, context=context
        )


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class KeptConnection:
    """One connection for requests one after the other, kept alive between them."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._connection: http.client.HTTPConnection | None = None

    def post(
        self,
        path: str,
        body: bytes,
        headers: dict[str, str],
        *,
        timeout_seconds: float,
        max_answer: int,
    ) -> Answer:
        """Return the answer, at most so many bytes of it. Raises one of ``UNREACHABLE``."""
        reused = self._connection is not None
        try:
            return self._request(path, body, headers, timeout_seconds, max_answer)
        except _STALE:
            if not reused:
                raise
            return self._request(path, body, headers, timeout_seconds, max_answer)

    def close(self) -> None:
        """Drop the connection; the next request opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def forget_after_fork(self) -> None:
        """Close the child's copy of the socket, and nothing that a lost thread may have locked."""
        connection, self._connection = self._connection, None
        if connection is not None and connection.sock is not None:
            with suppress(OSError):
                os.close(connection.sock.detach())

    def _request(
        self, path: str, body: bytes, headers: dict[str, str], timeout: float, max_answer: int
    ) -> Answer:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._endpoint.open(timeout)
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        reusable = False
        try:
            connection.request("POST", self._endpoint.path(path), body, headers)
            response = connection.getresponse()
            content = response.read(max_answer)
            reusable = response.isclosed() and not response.will_close
        finally:
            if not reusable:
                self.close()
        return Answer(response.status, dict(response.headers.items()), content)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
