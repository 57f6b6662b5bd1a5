"""Signatures of Standard Webhooks 1.0.0."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Sequence

PREFIX = "whsec_"
_LEAST_BYTES = 24
_MOST_BYTES = 64


def new_secret() -> str:
    """Make a secret of 32 random bytes, as it is shown to people."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """Return the bytes that sign; raises ``ValueError`` for what is no secret of 24 to 64 bytes."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("is not base64, with or without whsec_ before it") from None
    if not _LEAST_BYTES <= len(key) <= _MOST_BYTES:
        raise ValueError(f"must be {_LEAST_BYTES} to {_MOST_BYTES} bytes in base64")
    return key


def headers(identity: str, timestamp: int, body: bytes, signing: Sequence[str]) -> dict[str, str]:
    """Return the three headers; each secret of ``signing`` signs, so a receiver may know any of them."""
    signed = f"{identity}.{timestamp}.".encode() + body
    signatures = [
        "v1," + base64.b64encode(hmac.digest(key_of(secret), signed, "sha256")).decode()
        for secret in signing
    ]
    found = {"webhook-id": identity, "webhook-timestamp": str(timestamp)}
    return found | ({"webhook-signature": " ".join(signatures)} if signatures else {})
