"""A mail server of the tests' own: real SMTP (aiosmtpd) that records mails and fails as told."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Literal

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.alerts_svc.receivers import abort

Security = Literal["starttls", "tls", "none"]


@dataclass(frozen=True)
class Mail:
    """A mail as it came in; ``taken`` is false where the server refused it after its data."""

    at: float
    sender: str
    recipients: list[str]
    raw: bytes
    encrypted: bool
    user: str | None
    taken: bool

    @property
    def parsed(self) -> EmailMessage:
        found = message_from_bytes(self.raw, policy=policy.SMTP)
        assert isinstance(found, EmailMessage)
        return found

    def part(self, kind: Literal["plain", "html"]) -> str:
        """Return the text of one of the two parts."""
        body = self.parsed.get_body((kind,))
        assert body is not None
        content = body.get_content()
        assert isinstance(content, str)
        return content


@dataclass
class MailServer:
    """Takes all, but for what it is told to do.

    ``recipients`` answers some of them otherwise, and ``once`` only the first time (as greylisting does).
    ``data`` answers the next mails after their final dot; ``"cut"`` there ends the connection without an answer, and
    ``"silent"`` never answers. ``greeting`` is the delay of the first line.
    """

    port: int = 0
    password: str = "correct"
    recipients: dict[str, str] = field(default_factory=dict)
    once: dict[str, str] = field(default_factory=dict)
    data: deque[str] = field(default_factory=deque)
    mails: list[Mail] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    connections: int = 0
    greeting: float = 0.0

    @property
    def taken(self) -> list[Mail]:
        """Return the mails that the server has, whatever its sender knows of it."""
        return [mail for mail in self.mails if mail.taken]

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.once.pop(address, None) or self.recipients.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        answer = self.data.popleft() if self.data else "250 OK"
        assert isinstance(envelope.content, bytes)
        mail = Mail(
            time.monotonic(),
            envelope.mail_from or "",
            list(envelope.rcpt_tos),
            envelope.content,
            session.ssl is not None or server.transport.get_extra_info("sslcontext") is not None,
            session.auth_data.decode() if isinstance(session.auth_data, bytes) else None,
            answer.startswith("250") or answer in {"cut", "silent"},
        )
        self.mails.append(mail)
        if answer == "cut":
            server.transport.abort()
            await asyncio.Event().wait()
        if answer == "silent":
            await asyncio.Event().wait()
        return answer

    def authenticate(
        self, server: Any, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        right = data.password == self.password.encode()
        return AuthResult(success=right, handled=right, auth_data=data.login)


class _Recording(SMTP):
    """Notes commands, so that a test can see what was said before encryption."""

    def __init__(self, mail_server: MailServer, **options: Any) -> None:
        super().__init__(mail_server, **options)
        self._mail_server = mail_server

    def _handle_client(self) -> Any:
        self._mail_server.connections += 1
        return self._greeted()

    async def _greeted(self) -> None:
        await asyncio.sleep(self._mail_server.greeting)
        await super()._handle_client()

    async def _call_handler_hook(self, command: str, *arguments: Any) -> Any:
        self._mail_server.commands.append(command)
        return await super()._call_handler_hook(command, *arguments)


@asynccontextmanager
async def mail_server(
    tls: ssl.SSLContext | None = None, *, security: Security = "starttls", port: int = 0
) -> AsyncGenerator[MailServer]:
    """Serve mail on 127.0.0.1; without ``tls`` it does not offer STARTTLS."""
    server = MailServer()
    loop = asyncio.get_running_loop()
    protocols: list[_Recording] = []

    def protocol() -> _Recording:
        made = _Recording(
            server,
            loop=loop,
            hostname="mail.test",
            tls_context=tls if security == "starttls" else None,
            authenticator=server.authenticate,
            auth_require_tls=security == "starttls",
            timeout=60,
        )
        protocols.append(made)
        return made

    listener = await loop.create_server(
        protocol, "127.0.0.1", port, ssl=tls if security == "tls" else None
    )
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for made in protocols:
            if isinstance(made.transport, asyncio.WriteTransport):
                abort(made.transport)
        await listener.wait_closed()
        await asyncio.sleep(0)
