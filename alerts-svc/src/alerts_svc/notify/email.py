"""Mail to people: each recipient once, whatever the server says of the others."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from alerts_svc.domain.channel import Channel
from alerts_svc.domain.message import Message
from alerts_svc.domain.plain import plain
from alerts_svc.notify import mail
from alerts_svc.notify.links import Links
from alerts_svc.notify.rendering import rendered
from alerts_svc.notify.smtp import Conversation, Smtp
from alerts_svc.ports import Refused, Result, Retry, Sent

# Greylisting passes within minutes. After that the mail counts as sent to those who have it, so that what comes next is
# not held up for them.
PATIENCE_SECONDS = 300.0
_MOST_PARTIAL = 1000


@dataclass(slots=True)
class _Partial:
    """Who has a mail already, of those that were to get it, and who will not, since when some wait."""

    since: float
    served: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)


class Email:
    """Sends mails. What went to some recipients only is remembered in this process, so that a retry spares them."""

    def __init__(
        self, smtp: Smtp, links: Links, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._smtp = smtp
        self._links = links
        self._monotonic = monotonic
        self._partial: dict[str, _Partial] = {}

    async def send(self, channel: Channel, message: Message, *, wall: float) -> Result:
        """Make one attempt for those recipients who have not got it and were not refused for good."""
        settings = channel.settings
        body = rendered(
            message,
            lambda m: mail.render(m, settings, self._links),
            lambda m: mail.least(m, settings),
        )
        identity = mail.message_id(message, settings)
        partial = self._partial.get(identity) or _Partial(self._monotonic())
        left = [
            recipient
            for recipient in settings["recipients"]
            if recipient not in partial.served and recipient not in partial.refused
        ]
        talk = await self._smtp.deliver(settings, left, body)
        outcome: Result
        if isinstance(talk, Conversation):
            outcome = self._settled(talk, left, partial)
        elif isinstance(talk, Refused) and partial.served:
            told = dict.fromkeys(left, talk.reason) | partial.refused
            outcome = Sent(talk.status, _note(told))
        else:
            outcome = talk
        self._remember(identity, partial, outcome)
        return outcome

    def _settled(self, talk: Conversation, left: list[str], partial: _Partial) -> Result:
        partial.served.update(recipient for recipient in left if recipient not in talk.refused)
        waiting: dict[str, str] = {}
        code = 0
        for recipient, (status, said) in talk.refused.items():
            code = status
            final = 500 <= status < 600
            (partial.refused if final else waiting)[recipient] = f"{status} {plain(said, 160)}"
        patient = self._monotonic() - partial.since < PATIENCE_SECONDS
        if waiting and (patient or not partial.served):
            return Retry(_note(waiting), code)
        if not partial.served:
            return Refused(_note(partial.refused), code)
        return Sent(talk.code, _note(partial.refused | waiting))

    def _remember(self, identity: str, partial: _Partial, outcome: Result) -> None:
        self._partial.pop(identity, None)
        if isinstance(outcome, Retry) and (partial.served or partial.refused):
            while len(self._partial) >= _MOST_PARTIAL:
                del self._partial[next(iter(self._partial))]
            self._partial[identity] = partial


def _note(refused: dict[str, str]) -> str:
    said = "; ".join(f"{recipient}: {why}" for recipient, why in refused.items())
    return f"not taken for {said}" if said else ""
