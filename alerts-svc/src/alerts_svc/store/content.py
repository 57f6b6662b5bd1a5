"""Values as they are kept in ``jsonb`` columns, and text that PostgreSQL can hold.

PostgreSQL knows no NUL and UTF-8 no lone surrogate; whatever people or senders put in, a page must go out. So both
become U+FFFD here, on the way in, and nowhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, get_type_hints

import msgspec

from alerts_svc.domain.alert import Alert
from alerts_svc.domain.configuration import Configuration
from alerts_svc.domain.message import Message
from alerts_svc.domain.rule import BurnRate, Rule, Threshold
from alerts_svc.domain.silence import Silence
from alerts_svc.domain.world import Acknowledge, Close, Command, Posted

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_UNHOLDABLE = dict.fromkeys((0, *range(55296, 57344)), REPLACEMENT)


def text(value: str) -> str:
    """Return ``value`` without what PostgreSQL cannot hold."""
    return value if value.isascii() and "\0" not in value else value.translate(_UNHOLDABLE)


def group_hash(key: str) -> bytes:
    """Return what stands for a group's key in an index, whatever the key's length."""
    return hashlib.blake2b(text(key).encode(), digest_size=16).digest()


def dump(value: object) -> str:
    """Return ``value`` as JSON; dataclasses become objects, a NaN becomes null."""
    try:
        written = msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_cleaned(msgspec.to_builtins(value))).decode()
    if b"\\u0000" in written:
        written = msgspec.json.encode(_cleaned(msgspec.json.decode(written)))
    return written.decode()


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Mapping):
        return {text(name): _cleaned(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(member) for member in value]
    return value


load_alert = msgspec.json.Decoder(Alert).decode
load_message = msgspec.json.Decoder(Message).decode
load_silence = msgspec.json.Decoder(Silence).decode
load_configuration = msgspec.json.Decoder(Configuration).decode
load_labels = msgspec.json.Decoder(dict[str, str]).decode
load_settings = msgspec.json.Decoder(dict[str, Any]).decode

_conditions: dict[str, type[Threshold | BurnRate]] = {
    "threshold": Threshold,
    "burn_rate": BurnRate,
}
_fields = {name: held for name, held in get_type_hints(Rule).items() if name != "condition"}


def dump_rule(rule: Rule) -> str:
    """Return a rule as JSON; the condition's kind is its ``type``."""
    kind = "threshold" if isinstance(rule.condition, Threshold) else "burn_rate"
    held = msgspec.to_builtins(rule)
    held["condition"]["type"] = kind
    return dump(held)


def load_rule(held: str, *, version: int) -> Rule:
    """Return a rule from its JSON; what an older version did not write has its default."""
    raw: dict[str, Any] = msgspec.json.decode(held) | {"version": version}
    # msgspec cannot tell two dataclasses of a union apart.
    kind = _conditions[raw["condition"].pop("type")]
    condition = msgspec.convert(raw["condition"], kind)
    rest = {name: msgspec.convert(raw[name], _fields[name]) for name in raw.keys() & _fields.keys()}
    return Rule(condition=condition, **rest)


_contents: Mapping[str, msgspec.json.Decoder[Any]] = {
    "posted": msgspec.json.Decoder(tuple[Posted, ...]),
    "acknowledge": msgspec.json.Decoder(Acknowledge),
    "close": msgspec.json.Decoder(Close),
}


def kind_of(content: tuple[Posted, ...] | Acknowledge | Close) -> str:
    """Return the name under which a command's content is kept."""
    if isinstance(content, Acknowledge):
        return "acknowledge"
    return "close" if isinstance(content, Close) else "posted"


def load_command(number: int, at: float, kind: str, content: str) -> Command:
    """Return a command from its row."""
    return Command(number, at, _contents[kind].decode(content))
