"""A client of ``POST /api/metrics/events`` that loses nothing and counts nothing twice."""

import gzip
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from threading import Event as Flag
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import urllib3

EVENTS_PATH = "/api/metrics/events"

_RETRYABLE = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_TIMEOUT = urllib3.Timeout(connect=5, read=30)
_FIRST_DELAY_SECONDS = 0.1
_LONGEST_DELAY_SECONDS = 5.0
_LONGEST_RETRY_AFTER_SECONDS = 30.0


class IngestError(Exception):
    """The suite does not take the events; the text says why and what to do."""


class StoppedError(Exception):
    """The operator stopped the command before the batch was confirmed."""


class Rejection(msgspec.Struct, frozen=True):
    index: int
    detail: str
    path: str | None = None


class Receipt(msgspec.Struct, frozen=True):
    """The suite's answer. ``duplicate``: it had the batch, and has counted nothing again."""

    accepted: int
    duplicate: bool
    rejected: tuple[Rejection, ...] = ()


class _Problem(msgspec.Struct, frozen=True):
    title: str = ""
    detail: str = ""


class _RetryableError(Exception):
    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class IngestClient:
    """Sends batches, from any number of threads.

    A batch is tried again under its own id until the suite has answered, for at most
    ``patience_seconds``. ``stopping`` ends the waiting between attempts at once.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        api_key: str | None,
        connections: int,
        patience_seconds: float,
        stopping: Flag,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        if api_key is not None:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._pool = urllib3.PoolManager(maxsize=connections, timeout=_TIMEOUT, retries=False)
        self._patience = patience_seconds
        self._stopping = stopping
        self._clock = clock
        self._reached = False

    def send(self, batch_id: UUID, events: Sequence[object]) -> Receipt:
        """Return the suite's receipt, which it gives after the commit.

        Raises ``IngestError`` where trying again is of no use or was of none for long enough.
        """
        body = gzip.compress(
            msgspec.json.encode({"batch_id": batch_id, "events": events}), compresslevel=1
        )
        give_up_at = self._clock() + self._patience
        attempt = 0
        while True:
            try:
                return self._attempt(body)
            except _RetryableError as failure:
                delay = _delay(batch_id, attempt, failure.retry_after)
                if self._clock() + delay > give_up_at:
                    raise IngestError(
                        f"gave up after {self._patience:g} s of trying: {failure}"
                    ) from None
            if self._stopping.wait(delay):
                raise StoppedError
            attempt += 1

    def _attempt(self, body: bytes) -> Receipt:
        try:
            answer = self._pool.request(
                "POST", self._endpoint + EVENTS_PATH, body=body, headers=self._headers
            )
        except urllib3.exceptions.SSLError as error:
            raise IngestError(f"no TLS connection to {self._endpoint}: {error}") from None
        except urllib3.exceptions.NewConnectionError as error:
            if not self._reached:
                raise IngestError(
                    f"no suite answers at {self._endpoint}: start one with ./task up,"
                    " or name another with --endpoint"
                ) from None
            raise _RetryableError(str(error)) from None
        except urllib3.exceptions.HTTPError as error:
            raise _RetryableError(str(error)) from None
        self._reached = True
        return self._receipt(answer)

    def _receipt(self, answer: urllib3.BaseHTTPResponse) -> Receipt:
        if answer.status == HTTPStatus.OK:
            try:
                return msgspec.json.decode(answer.data, type=Receipt)
            except msgspec.DecodeError as error:
                raise IngestError(
                    f"{self._endpoint} answers, but not as a Windsock suite does: {error}"
                ) from None
        reason = f"{EVENTS_PATH} answered {answer.status} {problem_detail(answer.data)}".rstrip()
        if answer.status in _RETRYABLE:
            raise _RetryableError(reason, _retry_after(answer.headers.get("Retry-After")))
        raise IngestError(reason + _advice(answer.status))


def check_endpoint(endpoint: str) -> None:
    """Raise ``ValueError`` unless the text is an address that requests can go to."""
    try:
        url = urlsplit(endpoint)
        valid = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(f"expected an address such as http://127.0.0.1:8000, got {endpoint!r}")


def _delay(batch_id: UUID, attempt: int, retry_after: float | None) -> float:
    """Wait as the suite asks, else longer each time, spread by the batch and not by chance."""
    if retry_after is not None:
        return min(retry_after, _LONGEST_RETRY_AFTER_SECONDS)
    spread = 0.5 + (batch_id.int >> attempt) % 1000 / 1000
    return min(_FIRST_DELAY_SECONDS * 2.0**attempt, _LONGEST_DELAY_SECONDS) * spread


def _retry_after(value: str | None) -> float | None:
    return float(value) if value is not None and value.isascii() and value.isdigit() else None


def problem_detail(body: bytes) -> str:
    """Return what a problem (RFC 9457) says; nothing of a body that is none."""
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return problem.detail or problem.title


def _advice(status: int) -> str:
    match status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return ": set WINDSOCK_API_KEY to a key that may write events"
        case HTTPStatus.NOT_FOUND:
            return ": is this a Windsock suite?"
        case _:
            return ""
