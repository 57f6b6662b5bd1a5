"""Heartbeats: a sign of life to a service that calls somebody when it stays away (a dead man's switch)."""

from __future__ import annotations

from alerts_svc.domain.channel import Channel
from alerts_svc.domain.message import Message
from alerts_svc.notify import signature
from alerts_svc.notify.http import Http, classified
from alerts_svc.notify.rendering import dumps, rfc3339
from alerts_svc.notify.webhook import signing_secrets
from alerts_svc.ports import Refused, Result, Retry


class Heartbeat:
    """Posts a small document, signed if the channel has a secret."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def send(self, channel: Channel, message: Message, *, wall: float) -> Result:
        """Make one attempt."""
        body = dumps(
            {
                "type": "alerts.heartbeat",
                "id": message.id,
                "timestamp": rfc3339(message.created_at),
                "sender": "windsock alerts-svc",
                "test": message.reason == "test",
            }
        )
        secrets = signing_secrets(channel.settings, wall)
        headers = signature.headers(message.id, int(wall), body, secrets)
        answer = await self._http.post(channel.settings["url"], body, headers)
        return answer if isinstance(answer, Retry | Refused) else classified(answer, wall)
