"""Sends one batch over HTTP and says what became of it."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Protocol

from windsock.encoding import Batch
from windsock.endpoint import UNREACHABLE, Answer, Endpoint, KeptConnection
from windsock.retry import retry_after_seconds

PATH = "/api/metrics/events"
_RETRYABLE = frozenset({429, 502, 503, 504})
_MAX_ANSWER = 4 * 1024 * 1024


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


class HttpTransport:
    """One kept-alive connection. Uses no proxy and follows no redirect, so the key stays here."""

    def __init__(self, endpoint: str, *, api_key: str | None = None) -> None:
        address = Endpoint(endpoint, api_key=api_key)
        self._connection = KeptConnection(address)
        self._headers = address.headers(
            Content_Type="application/json", Content_Encoding="gzip", Accept="application/json"
        )

    def send(self, batch: Batch, timeout_seconds: float) -> Outcome:
        try:
            answer = self._connection.post(
                PATH,
                batch.body,
                self._headers,
                timeout_seconds=timeout_seconds,
                max_answer=_MAX_ANSWER + 1,
            )
        except UNREACHABLE as error:
            return TryAgain(f"{type(error).__name__}: {error}"[:200])
        return _outcome(answer)

    def close(self) -> None:
        """Drop the connection; the next request opens another."""
        self._connection.close()

    def forget_after_fork(self) -> None:
        self._connection.forget_after_fork()


def _outcome(answer: Answer) -> Outcome:
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
