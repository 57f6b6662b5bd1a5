"""Sends one batch over HTTP and says what became of it."""

from __future__ import annotations

# ``getaddrinfo`` would import it in the sender's thread. A child forked during an import
# has half a module for good, so nothing may be imported that late.
import encodings.idna  # noqa: F401
import http.client
import ipaddress
import json
import os
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from windsock.counters import log
from windsock.encoding import Batch
from windsock.retry import retry_after_seconds

PATH = "/api/metrics/events"
_RETRYABLE = frozenset({429, 502, 503, 504})
_MAX_ANSWER = 4 * 1024 * 1024
# What a request meets on a connection that the server closed while it was idle.
_STALE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


@dataclass(frozen=True, slots=True)
class Delivered:
    """The service has the batch. ``rejected`` are events it refused, as "path: detail" texts."""

    rejected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Not now. ``after_seconds`` is what the service asked for, if it did."""

    reason: str
    after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The same request would fail again."""

    reason: str


Outcome = Delivered | TryAgain | Refused


class Transport(Protocol):
    def send(self, batch: Batch, timeout_seconds: float) -> Outcome: ...

    def close(self) -> None: ...

    def forget_after_fork(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class HttpTransport:
    """One kept-alive connection. Uses no proxy and follows no redirect, so the key stays here."""

    def __init__(self, endpoint: str, *, api_key: str | None = None) -> None:
        url = urlsplit(endpoint)
        self._secure = url.scheme == "https"
        self._host = url.hostname or ""
        self._port = url.port
        self._path = url.path.rstrip("/") + PATH
        self._headers = {
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "Accept": "application/json",
            "User-Agent": "windsock-python",
        }
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
            if not self._secure and not _is_loopback(self._host):
                log.warning("the API key travels unencrypted to %s", self._host)
        self._connection: http.client.HTTPConnection | None = None

    def send(self, batch: Batch, timeout_seconds: float) -> Outcome:
        reused = self._connection is not None
        try:
            try:
                answer = self._request(batch.body, timeout_seconds)
            except _STALE:
                if not reused:
                    raise
                answer = self._request(batch.body, timeout_seconds)
        # OSError: refused, reset, unreachable, unresolved, TLS, timeouts. UnicodeError: no host name.
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            return TryAgain(f"{type(error).__name__}: {error}"[:200])
        return _outcome(answer)

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

    def _request(self, body: bytes, timeout_seconds: float) -> _Answer:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._open(timeout_seconds)
        if connection.sock is not None:
            connection.sock.settimeout(timeout_seconds)
        reusable = False
        try:
            connection.request("POST", self._path, body, self._headers)
            response = connection.getresponse()
            content = response.read(_MAX_ANSWER + 1)
            reusable = response.isclosed() and not response.will_close
        finally:
            if not reusable:
                self.close()
        return _Answer(response.status, dict(response.headers.items()), content)

    def _open(self, timeout_seconds: float) -> http.client.HTTPConnection:
        if not self._secure:
            return http.client.HTTPConnection(self._host, self._port, timeout=timeout_seconds)
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=timeout_seconds, context=context
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _outcome(answer: _Answer) -> Outcome:
    if answer.status in _RETRYABLE:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return TryAgain(f"HTTP {answer.status}", retry_after_seconds(headers.get("retry-after")))
    if answer.status != http.client.OK:
        return Refused(f"HTTP {answer.status}{_detail(answer.body)}")
    return _delivered(answer.body)


def _parsed(body: bytes) -> dict[str, object]:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _detail(body: bytes) -> str:
    problem = _parsed(body)
    detail = problem.get("detail") or problem.get("title")
    return f", {str(detail)[:300]}" if detail else ""


def _delivered(body: bytes) -> Outcome:
    answer = _parsed(body)
    rejected = answer.get("rejected", [])
    if "accepted" not in answer or not isinstance(rejected, list):
        return Refused("HTTP 200 with another answer than Windsock's: is the endpoint right?")
    return Delivered(tuple(_rejection(entry) for entry in rejected))


def _rejection(entry: object) -> str:
    if not isinstance(entry, dict):
        return ""
    path, detail = entry.get("path", ""), entry.get("detail", "")
    return f"events[{entry.get('index')}].{path}: {detail}"[:300]
