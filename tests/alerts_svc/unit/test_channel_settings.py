"""Settings of channels: what is refused when it is saved, what is kept, what is never shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from alerts_svc.domain.channel import Channel, Kind
from alerts_svc.notify.channel_settings import (
    PAGERDUTY_URL,
    check_settings,
    masked,
    rotated,
)
from alerts_svc.notify.guard import Guard
from alerts_svc.notify.signature import key_of
from alerts_svc.wire.channels import parse_channel
from windsock_kit.errors import InvalidError

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
EMAIL = {
    "host": "mail.example.com",
    "sender": "windsock@example.com",
    "recipients": ["ana@example.com"],
}
PAGERDUTY = {"routing_key": "R" * 32}
HOOK = {"url": "https://hooks.example.com/T0K3N", "secret": SECRET}


async def _outside(_: str, __: int) -> Sequence[str]:
    return ["93.184.215.14"]


GUARD = Guard(lookup=_outside)


@pytest.mark.parametrize(
    ("kind", "settings", "stored"),
    [
        (Kind.CONSOLE, {}, {}),
        (Kind.EMAIL, EMAIL, EMAIL),
        (
            Kind.EMAIL,
            EMAIL | {"port": 465, "security": "tls", "username": "u", "password": "p"},
            EMAIL | {"port": 465, "security": "tls", "username": "u", "password": "p"},
        ),
        (
            Kind.SLACK,
            {"url": "https://hooks.slack.com/services/x"},
            {"url": "https://hooks.slack.com/services/x"},
        ),
        (Kind.PAGERDUTY, PAGERDUTY, PAGERDUTY),
        (Kind.WEBHOOK, HOOK | {"headers": {"X-A": "b"}}, HOOK | {"headers": {"X-A": "b"}}),
        (
            Kind.HEARTBEAT,
            {"url": "https://hc.example.com/x", "interval_seconds": 30},
            {"url": "https://hc.example.com/x", "interval_seconds": 30},
        ),
    ],
)
async def test_right_settings_pass(
    kind: Kind, settings: Mapping[str, Any], stored: Mapping[str, Any]
) -> None:
    assert await check_settings(kind, settings, GUARD) == stored


@pytest.mark.parametrize(
    ("kind", "settings", "path"),
    [
        (Kind.CONSOLE, {"a": 1}, "settings.a"),
        (Kind.EMAIL, EMAIL | {"recipients": []}, "settings.recipients"),
        (Kind.EMAIL, EMAIL | {"recipients": ["a@b", "x\r\nBcc: y@z"]}, "settings.recipients[1]"),
        (Kind.EMAIL, EMAIL | {"sender": "Windsock <a@b>"}, "settings.sender"),
        (Kind.EMAIL, EMAIL | {"sender": "ä@example.com"}, "settings.sender"),
        (Kind.EMAIL, EMAIL | {"hello_name": "a\r\nMAIL FROM:<x@y>"}, "settings.hello_name"),
        (Kind.EMAIL, EMAIL | {"host": "127.0.0.1"}, "settings.host"),
        (Kind.EMAIL, EMAIL | {"port": 22}, "settings.port"),
        (Kind.EMAIL, EMAIL | {"port": True}, "settings.port"),
        (Kind.EMAIL, EMAIL | {"security": "maybe"}, "settings.security"),
        (Kind.EMAIL, EMAIL | {"username": "u"}, "settings.password"),
        (
            Kind.EMAIL,
            EMAIL | {"username": "u", "password": "p", "security": "none"},
            "settings.security",
        ),
        (Kind.SLACK, {}, "settings.url"),
        (Kind.SLACK, {"url": "http://hooks.slack.com/services/x"}, "settings.url"),
        (Kind.SLACK, {"url": "https://10.0.0.1/"}, "settings.url"),
        (Kind.PAGERDUTY, {"routing_key": "short"}, "settings.routing_key"),
        (Kind.PAGERDUTY, {"routing_key": "R" * 32 + "\n"}, "settings.routing_key"),
        (Kind.WEBHOOK, HOOK | {"secret": "whsec_short"}, "settings.secret"),
        (Kind.WEBHOOK, HOOK | {"headers": {"Host": "inner"}}, "settings.headers.Host"),
        (Kind.WEBHOOK, HOOK | {"headers": {"X-A": "b\r\nX-B: c"}}, "settings.headers.X-A"),
        (Kind.WEBHOOK, HOOK | {"headers": {"X A": "b"}}, "settings.headers.X A"),
        (Kind.WEBHOOK, HOOK | {"previous_secret": SECRET}, "settings.previous_secret"),
        (Kind.WEBHOOK, HOOK | {"url": "file:///etc/passwd"}, "settings.url"),
        (
            Kind.HEARTBEAT,
            {"url": "https://x.example/", "interval_seconds": 1},
            "settings.interval_seconds",
        ),
    ],
)
async def test_wrong_settings_are_refused_with_their_place(
    kind: Kind, settings: Mapping[str, Any], path: str
) -> None:
    with pytest.raises(InvalidError) as refused:
        await check_settings(kind, settings, GUARD)

    assert refused.value.path == path


async def test_name_that_is_inside_is_refused_when_it_is_saved() -> None:
    async def inside(_: str, __: int) -> Sequence[str]:
        return ["10.0.0.5"]

    for kind, settings in ((Kind.WEBHOOK, HOOK), (Kind.EMAIL, EMAIL), (Kind.PAGERDUTY, PAGERDUTY)):
        with pytest.raises(InvalidError, match="not allowed"):
            await check_settings(kind, settings, Guard(lookup=inside))


async def test_webhook_without_a_secret_gets_one() -> None:
    checked = await check_settings(Kind.WEBHOOK, {"url": HOOK["url"]}, GUARD)

    assert len(key_of(checked["secret"])) == 32


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (Kind.EMAIL, EMAIL | {"username": "u", "password": "pa55word"}),
        (Kind.SLACK, {"url": "https://hooks.slack.com/services/T0K3N"}),
        (Kind.PAGERDUTY, PAGERDUTY),
        (Kind.WEBHOOK, HOOK | {"headers": {"Authorization": "Bearer T0K3N"}}),
        (Kind.HEARTBEAT, HOOK),
    ],
)
async def test_what_is_shown_holds_no_secret_and_can_be_saved_again(
    kind: Kind, settings: dict[str, Any]
) -> None:
    stored = await check_settings(kind, settings, GUARD)
    stored = stored if kind not in {Kind.WEBHOOK, Kind.HEARTBEAT} else rotated(stored, wall=1.0)

    shown = masked(kind, stored)
    again = await check_settings(kind, shown, GUARD, stored=stored)

    told = repr(shown) + repr(Channel("a", kind, stored))
    secrets = ("pa55word", "T0K3N", "R" * 32, SECRET[6:], stored.get("secret", SECRET))
    assert not any(secret in told for secret in secrets)
    assert again == stored


@pytest.mark.parametrize(
    ("kind", "stored", "moved", "path"),
    [
        (
            Kind.EMAIL,
            EMAIL | {"username": "u", "password": "pa55word"},
            {"host": "elsewhere.example.com"},
            "settings.password",
        ),
        (
            Kind.PAGERDUTY,
            PAGERDUTY,
            {"url": "https://elsewhere.example.com/"},
            "settings.routing_key",
        ),
    ],
)
async def test_secret_does_not_move_to_another_target(
    kind: Kind, stored: dict[str, Any], moved: dict[str, Any], path: str
) -> None:
    given = masked(kind, stored) | moved

    with pytest.raises(InvalidError) as refused:
        await check_settings(kind, given, GUARD, stored=stored)

    assert refused.value.path == path


async def test_headers_of_a_webhook_do_not_move_to_another_target() -> None:
    stored = HOOK | {"headers": {"Authorization": "Bearer T0K3N"}}

    found = await check_settings(
        Kind.WEBHOOK, {"url": "https://elsewhere.example.com/"}, GUARD, stored=stored
    )

    assert "headers" not in found
    assert found["secret"] == SECRET


def test_rotation_keeps_the_old_secret_for_a_day() -> None:
    found = rotated(HOOK, wall=1000.0)

    assert found["previous_secret"] == SECRET
    assert found["previous_until"] == 1000.0 + 86_400
    assert found["secret"] != SECRET
    assert PAGERDUTY_URL.startswith("https://")


def test_secrets_are_not_shown_where_values_are() -> None:
    body = b'{"name": "hook", "kind": "webhook", "settings": {"url": "https://x.example/secret"}}'

    parsed = parse_channel(body)
    channel = Channel(parsed.name, parsed.kind, parsed.settings)

    assert "secret" in str(channel.settings)
    assert "secret" not in f"{parsed!r} {channel!r}"
