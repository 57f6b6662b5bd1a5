"""Tokens in addresses of streams: a browser's EventSource can send no headers."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus

from itsdangerous import BadData, URLSafeSerializer

from windsock_kit.errors import ServiceError

_SALT = "windsock.flags.ofrep-stream"


class TokenError(ServiceError):
    """A token that opens nothing (any more).

    A browser's EventSource gives up on any status but 200, and its provider then asks for the flags, and with them for
    another token. A stream that told it to ask would keep it at the old one.
    """

    status = HTTPStatus.UNAUTHORIZED
    code = "stream_token"

    def headers(self) -> dict[str, str]:
        """Return the header that goes with this status."""
        return {"WWW-Authenticate": 'Bearer error="invalid_token"'}


@dataclass(frozen=True, slots=True)
class Pass:
    """What a token opens: the stream of an environment, for who knows its flags as of ``event_id``."""

    environment: str
    event_id: str


class StreamTokens:
    """Makes and reads tokens.

    Within a ``window`` of time all answers about one state of an environment carry the same token,
    so that a client that asks again keeps its connection. A token lives at most ``seconds`` and
    at least half of that; ``key`` is shared by all replicas.
    """

    def __init__(self, *, seconds: float, now: Callable[[], float] = time.time) -> None:
        self._period = seconds / 2
        self._now = now
        # Until the shared key is known, tokens are good for this process.
        self.use(secrets.token_bytes(32))

    def use(self, key: bytes) -> None:
        """Sign with the key that the replicas share."""
        self._signed = URLSafeSerializer(
            key, salt=_SALT, signer_kwargs={"key_derivation": "hmac", "digest_method": sha256}
        )
        self._key_number = sha256(key).digest()[:8]

    def window(self) -> tuple[bytes, int]:
        """Return what tokens depend on beside what they open; while it stays the same, so do they."""
        return self._key_number, int(self._now() / self._period)

    def issue(self, environment: str, event_id: str) -> str:
        """Return the token of this window."""
        ends = (int(self._now() / self._period) + 2) * self._period
        token = self._signed.dumps([environment, event_id, ends])
        return token if isinstance(token, str) else token.decode()

    def read(self, token: str) -> Pass:
        """Return what ``token`` opens; raises ``TokenError``."""
        try:
            environment, event_id, ends = self._signed.loads(token)
        except BadData:
            raise TokenError(
                "the token of this stream is not ours; ask for the flags anew"
            ) from None
        if self._now() >= ends:
            raise TokenError("the token of this stream has expired; ask for the flags anew")
        return Pass(environment, event_id)
