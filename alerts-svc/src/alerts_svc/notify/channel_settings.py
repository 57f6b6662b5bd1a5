"""What a channel of each kind is configured with: checked when it is saved, shown without its secrets."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from alerts_svc.domain.channel import Kind
from alerts_svc.notify import signature
from alerts_svc.notify.guard import Guard, TargetError
from alerts_svc.notify.rendering import rfc3339
from windsock_kit.decoding import located
from windsock_kit.errors import InvalidError

PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue"
ROTATION_SECONDS = 86_400.0

# Standard headers, and those of hops and framing, are the service's own.
_OWN_HEADERS = frozenset(
    {
        *("host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade", "te"),
        *("expect", "trailer", "proxy-authorization", "keep-alive", "content-encoding"),
        *("webhook-id", "webhook-timestamp", "webhook-signature"),
    }
)  # fmt: skip
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HEADER_VALUE = re.compile(r"[\t -~]{0,2000}")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ADDRESS = re.compile(rf"(?=.{{3,254}}$){_ATOM}(?:\.{_ATOM})*@(?:[A-Za-z0-9-]+\.)*[A-Za-z0-9-]+")
_HELLO = re.compile(r"[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f.:]{2,45}\]")

Text = Annotated[str, Meta(min_length=1, max_length=2048)]
Secret = Annotated[str, Meta(min_length=1, max_length=1024)]
Port = Annotated[int, Meta(ge=1, le=65_535)]


class _Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    def __repr__(self) -> str:
        # It holds secrets, and whatever is shown may end in a log.
        return f"{type(self).__name__}(…)"


class _Console(_Settings, frozen=True):
    pass


class _Email(_Settings, frozen=True):
    host: Text
    sender: Text
    recipients: Annotated[list[Text], Meta(min_length=1, max_length=50)]
    port: Port = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: Secret | None = None
    password: Secret | None = None
    hello_name: Text | None = None


class _Slack(_Settings, frozen=True):
    url: Text


class _PagerDuty(_Settings, frozen=True):
    routing_key: Annotated[str, Meta(pattern=r"^[A-Za-z0-9]{32}\Z")]
    url: Text = PAGERDUTY_URL


class _Webhook(_Settings, frozen=True):
    url: Text
    secret: Secret | None = None
    previous_secret: Secret | None = None
    previous_until: float | None = None
    headers: Annotated[dict[str, str], Meta(max_length=20)] = {}


class _Heartbeat(_Settings, frozen=True):
    url: Text
    interval_seconds: Annotated[float, Meta(ge=5, le=86_400)] = 60.0
    secret: Secret | None = None
    previous_secret: Secret | None = None
    previous_until: float | None = None


_STRUCTS: Mapping[Kind, type[_Settings]] = {
    Kind.CONSOLE: _Console,
    Kind.EMAIL: _Email,
    Kind.SLACK: _Slack,
    Kind.PAGERDUTY: _PagerDuty,
    Kind.WEBHOOK: _Webhook,
    Kind.HEARTBEAT: _Heartbeat,
}
# What is written only. An address of these kinds is as good as a password.
_SECRETS: Mapping[Kind, frozenset[str]] = {
    Kind.CONSOLE: frozenset(),
    Kind.EMAIL: frozenset({"password"}),
    Kind.SLACK: frozenset({"url"}),
    Kind.PAGERDUTY: frozenset({"routing_key"}),
    Kind.WEBHOOK: frozenset({"url", "secret", "previous_secret", "headers"}),
    Kind.HEARTBEAT: frozenset({"url", "secret", "previous_secret"}),
}
# Where the secrets go: with another target they must be given anew, or a change of it would be a way to read them.
_TARGET: Mapping[Kind, tuple[str, ...]] = {
    Kind.EMAIL: ("host", "port", "security"),
    Kind.PAGERDUTY: ("url",),
    Kind.WEBHOOK: ("url",),
}
_BOUND: Mapping[Kind, tuple[str, ...]] = {
    Kind.EMAIL: ("password",),
    Kind.PAGERDUTY: ("routing_key",),
    Kind.WEBHOOK: ("headers",),
}
_ROTATED = ("previous_secret", "previous_until")


async def check_settings(
    kind: Kind,
    settings: Mapping[str, Any],
    guard: Guard,
    *,
    stored: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the settings as they are to be stored; raises ``InvalidError`` with the path (``settings.url``).

    A secret that is left out, or given as ``masked`` shows it, is taken from ``stored``, as long as the target is the
    same. A webhook without a secret gets a new one.
    """
    given = _completed(kind, settings, stored or {})
    try:
        checked = msgspec.convert(given, _STRUCTS[kind])
        await _CHECKS[kind](checked, guard)
    except msgspec.ValidationError as error:
        detail, path = located(error)
        raise InvalidError(detail, path=f"settings.{path}" if path else "settings") from None
    except TargetError as error:
        raise InvalidError(error.detail, path=f"settings.{error.path}") from None
    found: dict[str, Any] = msgspec.to_builtins(checked)
    if isinstance(checked, _Webhook) and checked.secret is None:
        found["secret"] = signature.new_secret()
    return found


def _completed(
    kind: Kind, settings: Mapping[str, Any], stored: Mapping[str, Any]
) -> dict[str, Any]:
    given = {
        key: value
        for key, value in settings.items()
        if not (key in _SECRETS[kind] and isinstance(value, Mapping) and value.get("set") is True)
    }
    # What was shown may come back as it was.
    if "previous_until" in stored and given.get("previous_until") == rfc3339(
        stored["previous_until"]
    ):
        del given["previous_until"]
    if any(key in given for key in _ROTATED):
        raise InvalidError(
            "is set by a rotation of the secret only", path="settings.previous_secret"
        )
    kept = [*_SECRETS[kind], *_ROTATED]
    defaults = {"port": 587, "security": "starttls", "url": PAGERDUTY_URL}
    moved = any(
        given.get(key, stored.get(key, defaults.get(key))) != stored.get(key, defaults.get(key))
        for key in _TARGET.get(kind, ())
    )
    for key in kept:
        if key not in given and key in stored and not (moved and key in _BOUND[kind]):
            given[key] = stored[key]
    return given


def masked(kind: Kind, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings as they are told: of a secret that it is set, of a URL the host, of headers the names."""
    found = {
        key: _mask(key, value) if key in _SECRETS[kind] else value
        for key, value in settings.items()
    }
    if (until := settings.get("previous_until")) is not None:
        found["previous_until"] = rfc3339(until)
    return found


def _mask(key: str, value: Any) -> dict[str, Any]:
    if key == "url":
        return {"set": True, "host": urlsplit(str(value)).hostname}
    if key == "headers":
        return {"set": bool(value), "names": sorted(value)}
    return {"set": value is not None}


def rotated(settings: Mapping[str, Any], *, wall: float) -> dict[str, Any]:
    """Return the settings with a new secret; the old one signs too for another day."""
    found = {**settings, "secret": signature.new_secret()}
    if settings.get("secret"):
        found["previous_secret"] = settings["secret"]
        found["previous_until"] = wall + ROTATION_SECONDS
    return found


async def _check_console(_: Any, __: Guard) -> None:
    """Nothing can be wrong."""


async def _check_email(found: _Email, guard: Guard) -> None:
    for path, text in [("sender", found.sender), *_numbered("recipients", found.recipients)]:
        if not _ADDRESS.fullmatch(text):
            raise TargetError("is not an address of plain ASCII, as in oncall@example.com", path)
    if found.hello_name is not None and not _HELLO.fullmatch(found.hello_name):
        raise TargetError("must be a host name", "hello_name")
    if (found.username is None) != (found.password is None):
        raise TargetError("username and password go together", "password")
    if found.password is not None and found.security == "none":
        raise TargetError("a password is sent over TLS only", "security")
    endpoint = guard.check_smtp(found.host, found.port)
    await guard.check_resolved(endpoint, path="host")


def _numbered(name: str, texts: list[str]) -> list[tuple[str, str]]:
    return [(f"{name}[{number}]", text) for number, text in enumerate(texts)]


async def _check_https(found: _Slack | _PagerDuty, guard: Guard) -> None:
    await guard.check_resolved(guard.check_url(found.url, schemes=("https",)))


async def _check_webhook(found: _Webhook | _Heartbeat, guard: Guard) -> None:
    if found.secret is not None:
        try:
            signature.key_of(found.secret)
        except ValueError as error:
            raise TargetError(str(error), "secret") from None
    for name, value in (found.headers if isinstance(found, _Webhook) else {}).items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _OWN_HEADERS:
            raise TargetError("is not a header that can be set", f"headers.{name[:100]}")
        if not _HEADER_VALUE.fullmatch(value):
            raise TargetError("must be printable ASCII", f"headers.{name}")
    await guard.check_resolved(guard.check_url(found.url))


_CHECKS: Mapping[Kind, Callable[[Any, Guard], Awaitable[None]]] = {
    Kind.CONSOLE: _check_console,
    Kind.EMAIL: _check_email,
    Kind.SLACK: _check_https,
    Kind.PAGERDUTY: _check_https,
    Kind.WEBHOOK: _check_webhook,
    Kind.HEARTBEAT: _check_webhook,
}
