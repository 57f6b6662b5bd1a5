"""One bounded request to a stranger: in time, in memory, and only to where the guard lets it go."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp

from alerts_svc.domain import retry_after
from alerts_svc.notify.guard import Guard, GuardedResolver, TargetError, UnresolvedError
from alerts_svc.ports import Refused, Result, Retry, Sent
from alerts_svc.version import VERSION

TIMEOUT_SECONDS: Final = 15.0
CONNECT_SECONDS: Final = 10.0
# The status has arrived by then: only the reason is still wanted.
_BODY_SECONDS = 5.0
_MAX_BODY = 64 * 1024
_PASSING = frozenset({408, 425, 429})
USER_AGENT = f"windsock-alerts/{VERSION}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver said: at most 64 KiB of its body. ``whole`` is false where the body was cut off."""

    status: int
    body: bytes
    whole: bool
    retry_after: str | None = None
    date: str | None = None

    @property
    def ok(self) -> bool:
        """Return whether the status is one of success."""
        return 200 <= self.status < 300

    def asked_for(self, wall: float) -> float | None:
        """Return for how many seconds the receiver wants no further attempt."""
        return retry_after.seconds(self.retry_after, wall=wall, date=self.date)

    def text(self) -> str:
        """Return the beginning of the body, for the reason of a failure."""
        return self.body[:400].decode(errors="replace")


class Http:
    """Sends requests; ``session`` is one of ``open_session``."""

    def __init__(
        self, session: aiohttp.ClientSession, guard: Guard, *, timeout: float = TIMEOUT_SECONDS
    ) -> None:
        self._session = session
        self._guard = guard
        self._timeout = timeout

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        schemes: Sequence[str] = ("https", "http"),
    ) -> Answer | Retry | Refused:
        """Post a JSON body and return the answer, or why there is none; never raises on its account.

        A failure after the request may have been read is ``unknown``.
        """
        try:
            self._guard.check_url(url, schemes=schemes)
            return await self._post(url, body, headers or {})
        except (TargetError, aiohttp.InvalidURL) as error:
            detail = error.detail if isinstance(error, TargetError) else "the URL is wrong"
            return Refused(f"target refused: {detail}")
        except aiohttp.ConnectionTimeoutError:
            return Retry(f"no connection within {CONNECT_SECONDS:g} s")
        except TimeoutError:
            return Retry(f"no answer within {self._timeout:g} s", unknown=True)
        except UnresolvedError as error:
            return Retry(str(error))
        except aiohttp.ClientError as error:
            return _failure(error)
        except OSError as error:
            return Retry(error.strerror or type(error).__name__, unknown=True)

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        given = {"Content-Type": "application/json", **headers}
        deadline = asyncio.get_running_loop().time() + self._timeout
        async with asyncio.timeout_at(deadline):
            response = await self._session.post(
                url, data=body, headers=given, allow_redirects=False
            )
        async with response:
            read, whole = await _body(response, deadline)
            told = response.headers
            return Answer(response.status, read, whole, told.get("Retry-After"), told.get("Date"))


async def _body(response: aiohttp.ClientResponse, deadline: float) -> tuple[bytes, bool]:
    """Read what is told of a body, as far as it comes in time: the status stands, whatever follows."""
    read = bytearray()
    now = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout_at(min(deadline, now + _BODY_SECONDS)):
            async for chunk in response.content.iter_any():
                read += chunk
                if len(read) >= _MAX_BODY:
                    return bytes(read[:_MAX_BODY]), False
    except (TimeoutError, OSError, aiohttp.ClientError):
        return bytes(read), False
    return bytes(read), True


def _failure(error: aiohttp.ClientError) -> Retry | Refused:
    # The texts of these errors may hold the address, which may be a secret.
    match error:
        case aiohttp.ClientConnectorDNSError():
            return Retry("the name cannot be resolved")
        case aiohttp.ClientConnectorCertificateError():
            return Refused("the receiver's certificate cannot be trusted")
        case aiohttp.ClientConnectorSSLError():
            return Retry("TLS with the receiver failed")
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno
            return Retry(f"cannot connect{f': {os.strerror(number)}' if number else ''}")
        case aiohttp.ServerDisconnectedError():
            return Retry("the connection was closed before an answer", unknown=True)
        case aiohttp.ClientResponseError():
            return Retry("the answer is not HTTP", unknown=True)
    return Retry(f"the connection failed ({type(error).__name__})", unknown=True)


def classified(answer: Answer, wall: float) -> Result:
    """Return what a status means to a receiver of webhooks (Standard Webhooks 1.0.0, section on retries)."""
    status = answer.status
    if answer.ok:
        return Sent(status)
    if status in _PASSING or status >= 500:
        return Retry(f"answered {status}{_said(answer)}", status, answer.asked_for(wall))
    if status == 410:
        return Refused(f"answered 410: it is gone{_said(answer)}", status, gone=True)
    if 300 <= status < 400:
        return Refused(f"answered {status}: redirects are not followed", status)
    return Refused(f"answered {status}{_said(answer)}", status)


def _said(answer: Answer) -> str:
    text = " ".join(answer.text().split())
    return f": {text}" if text else ""


@asynccontextmanager
async def open_session(guard: Guard, tls: ssl.SSLContext) -> AsyncGenerator[aiohttp.ClientSession]:
    """Open the one session of the process.

    Connections are not kept: each is resolved and checked anew, and none turns out dead when a page is due. Bodies
    are not decompressed, so that they are no larger than what was read.
    """
    connector = aiohttp.TCPConnector(
        resolver=GuardedResolver(guard),
        use_dns_cache=False,
        force_close=True,
        limit=0,
        ssl=tls,
    )
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    async with aiohttp.ClientSession(
        connector=connector,
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS),
    ) as session:
        yield session
