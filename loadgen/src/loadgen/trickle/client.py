"""Sends one request to the workload and tells how it went; never raises for what the network does."""

from dataclasses import dataclass
from http import HTTPStatus

import msgspec
import urllib3

from loadgen.ingest import problem_detail
from loadgen.trickle.requests import Ask

# The workload bounds its own answers; this is for one that hangs.
_TIMEOUT = urllib3.Timeout(connect=5, read=130)
_CHUNK_BYTES = 1 << 16
_KEPT_BYTES = 4096
_BUSY = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request. ``label`` groups failures: a status, or what broke.

    ``wait`` asks for less traffic: the seconds that the workload said, 0 where it only failed in
    a way that more requests would not better, None where there is nothing to wait for.
    """

    label: str
    ok: bool = False
    detail: str = ""
    wait: float | None = None


class WorkloadClient:
    """Talks to the workload, directly or through the gateway, from several threads."""

    def __init__(self, endpoint: str, *, connections: int) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._pool = urllib3.PoolManager(maxsize=connections, timeout=_TIMEOUT, retries=False)

    def send(self, ask: Ask) -> Outcome:
        """Send the request, read its answer to the end and keep nothing of it."""
        headers = {
            "Content-Type": "application/json",
            "X-User-ID": ask.user_id,
            "X-Session-ID": ask.session_id,
        }
        try:
            answer = self._pool.request(
                "POST",
                self._endpoint + ask.path,
                body=msgspec.json.encode(ask.body),
                headers=headers,
                preload_content=False,
            )
            try:
                first, last = _ends(answer)
            finally:
                answer.release_conn()
        except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError):
            return Outcome("no connection", detail=f"nothing answers at {self._endpoint}", wait=0)
        except urllib3.exceptions.TimeoutError:
            return Outcome("timeout", detail="an answer did not come in time", wait=0)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return Outcome("broken off", detail=f"an answer broke off: {error}", wait=0)
        if answer.status != HTTPStatus.OK:
            return _refused(answer, first)
        if ask.streamed and not _ended_well(last):
            return Outcome("stream failed", detail="a stream ended without a question")
        return Outcome(str(answer.status), ok=True)


def _ends(answer: urllib3.BaseHTTPResponse) -> tuple[bytes, bytes]:
    """Read all of an answer; return its first and its last bytes."""
    first = last = b""
    for chunk in answer.stream(_CHUNK_BYTES):
        first = first or chunk[:_KEPT_BYTES]
        last = (last + chunk)[-_KEPT_BYTES:]
    return first, last


def _refused(answer: urllib3.BaseHTTPResponse, body: bytes) -> Outcome:
    detail = f"answered {answer.status} {problem_detail(body)}".rstrip()
    if answer.status not in _BUSY:
        return Outcome(str(answer.status), detail=detail)
    told = answer.headers.get("Retry-After", "")
    wait = float(told) if told.isascii() and told.isdigit() else 0.0
    return Outcome(str(answer.status), detail=detail, wait=wait)


def _ended_well(last: bytes) -> bool:
    _, found, done = last.rpartition(b"event: done")
    return bool(found) and b'"status":"ok"' in done
