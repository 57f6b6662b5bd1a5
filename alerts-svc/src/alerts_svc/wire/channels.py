"""Channels as they travel. Their secrets go in and never come out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.wire.decoding import Identifier, decode

Answer = dict[str, Any]
MAX_CHANNELS = 200


class ChannelBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A channel; ``settings`` are checked by its kind. ``version`` and ``disabled_reason`` are left aside."""

    name: Identifier
    kind: Kind
    enabled: bool = True
    settings: dict[str, Any] = {}
    version: int | None = None
    disabled_reason: str | None = None

    def __repr__(self) -> str:
        """Return it without the settings, which hold secrets."""
        return f"ChannelBody({self.name!r}, {self.kind.value!r})"


_decoder = msgspec.json.Decoder(ChannelBody)


def parse_channel(body: bytes) -> ChannelBody:
    """Decode a channel, its settings not checked yet."""
    return decode(_decoder, body)


def tell_channel(channel: Channel, shown: Mapping[str, Any]) -> Answer:
    """Return a channel as it is told; ``shown`` are its settings without their secrets."""
    return {
        "name": channel.name,
        "kind": channel.kind,
        "enabled": channel.enabled,
        "disabled_reason": channel.disabled_reason,
        "settings": dict(shown),
        "version": channel.version,
    }
