"""Links in messages: to look at an alert, and signed ones to acknowledge or silence it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

import msgspec
from itsdangerous import BadData, URLSafeSerializer

from alerts_svc.domain.message import Item

VALID_SECONDS = 86_400.0
_SALT = "alerts-svc.link"
_MAX_TOKEN = 1024
_DASHBOARD_SECONDS = 3_600
_MOST_MINUTES = 43_200
_MAX_PART = 300

Action = Literal["acknowledge", "silence"]


class LinkError(ValueError):
    """A token that is not ours, or no longer valid; the message says which."""


@dataclass(frozen=True, slots=True)
class LinkAction:
    """What a link asks for. ``incident`` and ``fingerprint`` name the alert, ``expires_at`` is wall clock."""

    action: Action
    incident: str
    fingerprint: str
    expires_at: float


class _Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    a: Action
    i: str
    f: str
    e: int


class Links:
    """Makes links and reads their tokens. ``external_url`` is where people reach the suite.

    A link carries its own end, which follows from the message, so a message that is sent again is the same to the
    byte. What a link asks for is done on POST only: mail software opens links by itself.
    """

    def __init__(self, external_url: str, key: bytes | str) -> None:
        self.external_url = external_url.rstrip("/")
        self._serializer = URLSafeSerializer(key, salt=_SALT)

    def use(self, key: bytes | str) -> None:
        """Sign and read with another key from now on."""
        self._serializer = URLSafeSerializer(key, salt=_SALT)

    def timeline(self, item: Item) -> str:
        """Return where an incident can be looked at: what happened, and who was told."""
        return f"{self.external_url}/api/alerts/{item.incident}/timeline"

    def dashboard(self, item: Item) -> str:
        """Return where the numbers of an alert's operation and environment are, of its rule's window."""
        minutes = math.ceil((item.window_seconds or _DASHBOARD_SECONDS) / 60)
        asked = {"time_window_minutes": min(minutes, _MOST_MINUTES)}
        told = [urlencode(asked)]
        for name in ("operation", "environment"):
            part = urlencode({name: item.labels.get(name, "")}, errors="replace")
            # A long one would make an address that some receivers refuse.
            if item.labels.get(name) and len(part) <= _MAX_PART:
                told.append(part)
        return f"{self.external_url}/api/metrics/dashboard?{'&'.join(told)}"

    def acknowledge(self, item: Item, *, at: float) -> str:
        """Return a link that acknowledges the incident, valid for a day from ``at``."""
        return self._signed("acknowledge", item, at)

    def silence(self, item: Item, *, at: float) -> str:
        """Return a link that silences the alert, valid for a day from ``at``."""
        return self._signed("silence", item, at)

    def _signed(self, action: Action, item: Item, at: float) -> str:
        expires = math.ceil(at + VALID_SECONDS)
        token = self._serializer.dumps(
            {"a": action, "i": item.incident, "f": item.fingerprint, "e": expires}
        )
        text = token if isinstance(token, str) else token.decode()
        return f"{self.external_url}/api/alerts/links/{text}"

    def read(self, token: str, *, wall: float) -> LinkAction:
        """Return what a token asks for; raises ``LinkError`` if it was not made here, or its day is over."""
        if len(token) > _MAX_TOKEN or not token.isascii():
            raise LinkError("the link is not valid")
        try:
            found = msgspec.convert(self._serializer.loads(token), _Token)
        except (BadData, msgspec.ValidationError):
            raise LinkError("the link is not valid") from None
        if wall >= found.e:
            raise LinkError("the link is no longer valid")
        return LinkAction(found.a, found.i, found.f, float(found.e))
