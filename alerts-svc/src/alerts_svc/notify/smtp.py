"""One conversation with a mail server, bounded in time, encrypted where that is configured, to a checked address."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

import aiosmtplib

from alerts_svc.notify.guard import Guard, TargetError, UnresolvedError
from alerts_svc.ports import Refused, Retry

_CONNECT_SECONDS = 5.0
_QUIT_SECONDS = 1.0


class CannotEncryptError(Exception):
    """The server does not offer what is configured, and nothing is sent in the clear instead."""


@dataclass(slots=True)
class Conversation:
    """How far it came. ``refused`` are the recipients that the server did not take, with its answer.

    ``in_data`` is set while nobody knows whether the server has the mail.
    """

    refused: dict[str, tuple[int, str]] = field(default_factory=dict)
    in_data: bool = False
    code: int | None = None


class Smtp:
    """Hands over mails; ``tls`` verifies certificates."""

    def __init__(self, guard: Guard, tls: ssl.SSLContext, *, timeout: float) -> None:
        self._guard = guard
        self._tls = tls
        self._timeout = timeout

    async def deliver(
        self, settings: Mapping[str, Any], recipients: Sequence[str], mail: bytes
    ) -> Conversation | Retry | Refused:
        """Hand ``mail`` over for those of ``recipients`` that the server takes; never raises on its account."""
        talk = Conversation()
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._client(settings) as client,
            ):
                await _hand_over(client, settings["sender"], recipients, mail, talk)
        except (TimeoutError, OSError, aiosmtplib.SMTPException) as error:
            return _failure(error, talk, self._timeout)
        except TargetError as error:
            return Refused(f"target refused: {error.detail}")
        except CannotEncryptError as error:
            return Refused(str(error))
        return talk

    @asynccontextmanager
    async def _client(self, settings: Mapping[str, Any]) -> AsyncGenerator[aiosmtplib.SMTP]:
        security = settings.get("security", "starttls")
        client = aiosmtplib.SMTP(
            hostname=settings["host"],
            # From here on the client owns the connection, and closes it.
            sock=await self._connected(settings),
            local_hostname=settings.get("hello_name") or settings["sender"].rpartition("@")[2],
            timeout=self._timeout,
            use_tls=security == "tls",
            start_tls=False,
            tls_context=self._tls,
        )
        try:
            await client.connect()
            await _secured(client, security, settings)
            yield client
        finally:
            # At once: a farewell over TLS would wait for the other side's.
            if client.transport is not None:
                cast(asyncio.WriteTransport, client.transport).abort()
            client.close()

    async def _connected(self, settings: Mapping[str, Any]) -> socket.socket:
        """Connect to the first address that answers; all of them were checked."""
        endpoint = self._guard.check_smtp(settings["host"], settings.get("port", 587))
        found = await self._guard.addresses_of(endpoint, path="host")
        error: OSError = UnresolvedError(f"{endpoint.host} has no address")
        for address in found:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            connection = socket.socket(family, socket.SOCK_STREAM)
            connection.setblocking(False)
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    loop = asyncio.get_running_loop()
                    await loop.sock_connect(connection, (address, endpoint.port))
            except OSError as failed:  # TimeoutError is one.
                connection.close()
                error = failed
            except BaseException:
                connection.close()
                raise
            else:
                return connection
        raise error


async def _secured(client: aiosmtplib.SMTP, security: str, settings: Mapping[str, Any]) -> None:
    await client.ehlo()
    if security == "starttls":
        if not client.supports_extension("starttls"):
            raise CannotEncryptError("the mail server does not offer STARTTLS, which is required")
        await client.starttls()
        await client.ehlo()
    if settings.get("password") is not None:
        if security == "none":
            raise CannotEncryptError("a password is sent over TLS only")
        await client.login(settings["username"], settings["password"])


async def _hand_over(
    client: aiosmtplib.SMTP,
    sender: str,
    recipients: Sequence[str],
    mail: bytes,
    talk: Conversation,
) -> None:
    await client.mail(sender)
    for recipient in recipients:
        try:
            await client.rcpt(recipient)
        except aiosmtplib.SMTPRecipientRefused as error:
            talk.refused[recipient] = (error.code, error.message)
            if error.code == aiosmtplib.SMTPStatus.domain_unavailable:  # 421: it hangs up.
                raise
    if len(talk.refused) < len(recipients):
        talk.in_data = True
        talk.code = (await client.data(mail)).code
        talk.in_data = False
    with suppress(TimeoutError, OSError, aiosmtplib.SMTPException):
        async with asyncio.timeout(_QUIT_SECONDS):
            await client.quit()


def _failure(error: Exception, talk: Conversation, seconds: float) -> Retry | Refused:
    distrust = _certificate_error(error)
    if distrust is not None:
        return Refused(f"the mail server's certificate cannot be trusted: {distrust}")
    if isinstance(error, aiosmtplib.SMTPResponseException):
        reason = f"the mail server answered {error.code} {error.message}"
        final = 500 <= error.code < 600
        if final:
            return Refused(reason, error.code)
        return Retry(reason, error.code, unknown=talk.in_data and error.code < 400)
    unknown = talk.in_data
    if isinstance(error, UnresolvedError):
        return Retry(str(error))
    if isinstance(error, TimeoutError):
        return Retry(f"the mail server did not answer within {seconds:g} s", unknown=unknown)
    if isinstance(error, aiosmtplib.SMTPServerDisconnected | aiosmtplib.SMTPConnectError):
        return Retry("the connection to the mail server was lost", unknown=unknown)
    if isinstance(error, OSError):
        why = os.strerror(error.errno) if error.errno else type(error).__name__
        return Retry(f"cannot reach the mail server: {why}", unknown=unknown)
    # What is left says that the server lacks something that is configured, such as AUTH.
    return Refused(f"the mail server cannot do what is needed: {error}")


def _certificate_error(error: BaseException | None) -> str | None:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message or "it is not valid"
        error = error.__cause__ or error.__context__
    return None
