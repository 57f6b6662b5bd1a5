"""All kinds of channels, ready to send; made once per process."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TextIO

import structlog

from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.domain.message import Message
from alerts_svc.notify.console import Console
from alerts_svc.notify.email import Email
from alerts_svc.notify.guard import Guard
from alerts_svc.notify.heartbeat import Heartbeat
from alerts_svc.notify.http import TIMEOUT_SECONDS, Http, open_session
from alerts_svc.notify.links import Links
from alerts_svc.notify.pagerduty import PagerDuty
from alerts_svc.notify.rendering import without_secrets
from alerts_svc.notify.slack import Slack
from alerts_svc.notify.smtp import Smtp
from alerts_svc.notify.webhook import Webhook
from alerts_svc.ports import Refused, Result, Retry, Sent, Transport, Transports

log = structlog.get_logger()


class Contained:
    """A transport that never raises and never tells a secret, whatever the one within does."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner

    async def send(self, channel: Channel, message: Message, *, wall: float) -> Result:
        """Make one attempt; a bug counts as a failure that may pass."""
        try:
            result = await self._inner.send(channel, message, wall=wall)
        except Exception as error:  # noqa: BLE001 - the sender must go on, and the error may tell a secret.
            log.error("transport_failed", channel=channel.name, error=type(error).__name__)
            return Retry(f"internal error ({type(error).__name__})", unknown=True)
        match result:
            case Sent():
                return replace(result, note=without_secrets(result.note, channel))
            case Retry() | Refused():
                return replace(result, reason=without_secrets(result.reason, channel))


@asynccontextmanager
async def make_transports(
    *,
    guard: Guard,
    links: Links,
    tls: ssl.SSLContext | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> AsyncGenerator[Transports]:
    """Give the transports of every kind; they share one session, which ends with the block.

    ``tls`` is a context that verifies, for authorities that the system does not know; ``out`` and ``err`` are the
    console's streams, by default those of the process.
    """
    context = tls or ssl.create_default_context()
    async with open_session(guard, context) as session:
        http = Http(session, guard, timeout=timeout_seconds)
        inner: dict[Kind, Transport] = {
            Kind.CONSOLE: Console(links, out, err),
            Kind.EMAIL: Email(Smtp(guard, context, timeout=timeout_seconds), links),
            Kind.SLACK: Slack(http, links),
            Kind.PAGERDUTY: PagerDuty(http, links),
            Kind.WEBHOOK: Webhook(http, links),
            Kind.HEARTBEAT: Heartbeat(http),
        }
        yield {kind: Contained(transport) for kind, transport in inner.items()}
