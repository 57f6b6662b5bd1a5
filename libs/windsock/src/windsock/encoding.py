"""Records become the JSON of the wire here, in the sender's thread."""

import gzip
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from windsock.ambient import Ambient, merged
from windsock.buffer import Plain, Record
from windsock.fields import MAX_NAME, Cleaner, FieldValue, InvalidFieldError
from windsock.plain import FIELDS
from windsock.settings import Settings

_quote = json.encoder.encode_basestring_ascii
_MAX_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Batch:
    """A request as it is sent and sent again: the body never changes, nor the id inside it."""

    batch_id: str
    body: bytes
    events: int


def batch_of(lines: Sequence[str]) -> Batch:
    """Return a batch of encoded events under a new id."""
    batch_id = str(uuid.uuid4())
    text = f'{{"batch_id":"{batch_id}","events":[{",".join(lines)}]}}'
    return Batch(batch_id, gzip.compress(text.encode(), compresslevel=1, mtime=0), len(lines))


class Encoder:
    """Encodes records one by one; remembers what repeats (operations, metadata, the second)."""

    def __init__(self, settings: Settings) -> None:
        self._clean = Cleaner()
        self._environment = f',"environment":{self._text(settings.environment)}'
        self._defaults = {"model": settings.default_model, "provider": settings.default_provider}
        self._remembered: dict[str, str] = {}
        self._second = -1
        self._second_text = ""

    def encode(self, record: Record) -> str:
        """Return the event's JSON. Raises ``InvalidFieldError`` where the operation is empty."""
        recorded_at, operation, ambient, payload = record
        short: object = payload
        plain: Plain = ()
        if type(payload) is tuple:
            short, given, plain = payload
            if given:
                ambient = merged(ambient, given, self._clean)
        metadata = self._environment if ambient is None else self._metadata(ambient)
        if type(short) is int:
            kind, fields = "performance", f',"duration_ms":{short / 1e6!r}'
        elif type(short) is str:
            kind, fields = short, self._plain(short, plain, ambient)
        else:
            assert isinstance(payload, dict)
            kind, fields = str(payload["type"]), self._fields(payload)
        if operation == "":
            raise InvalidFieldError(f"{kind}.operation", "is empty")
        named = "" if operation is None else f',"operation":{self._quoted(operation)}'
        return (
            f'{{"type":"{kind}","timestamp":"{self._time(recorded_at)}"{named}{fields}{metadata}}}'
        )

    def truncated(self) -> int:
        """Return how many values were shortened or left out since this was asked last."""
        count, self._clean.truncated = self._clean.truncated, 0
        return count

    def _time(self, seconds: float) -> str:
        whole = int(seconds)
        if whole != self._second:
            self._second = whole
            self._second_text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._second_text}.{int((seconds - whole) * 1e6):06d}Z"

    def _quoted(self, text: str) -> str:
        quoted = self._remembered.get(text)
        if quoted is None:
            if len(self._remembered) >= _MAX_REMEMBERED:
                self._remembered.clear()
            quoted = self._remembered[text] = self._text(text)
        return quoted

    def _text(self, text: str) -> str:
        return _quote(self._clean.text(text, MAX_NAME))

    def _metadata(self, ambient: Ambient) -> str:
        # Two collectors with different environments may share it, so theirs is not kept in it.
        if ambient.fragment is None:
            ambient.fragment = _ambient(ambient)
        if "environment" in ambient.names:
            return ambient.fragment
        return ambient.fragment + self._environment

    def _plain(self, kind: str, values: Plain, ambient: Ambient | None) -> str:
        parts = []
        for name, given in zip(FIELDS[kind], values, strict=True):
            value = self._defaults.get(name) if given is None else given
            if value is None and name == "targeting_key" and ambient is not None:
                value = ambient.names.get("user_id")
            if value is None:
                continue
            if type(value) is str:
                parts.append(f',"{name}":{self._quoted(value)}')
            elif type(value) is bool:
                parts.append(f',"{name}":{"true" if value else "false"}')
            else:
                parts.append(f',"{name}":{value!r}')
        return "".join(parts)

    def _fields(self, payload: dict[str, FieldValue]) -> str:
        if payload["type"] == "llm_call":
            for name, default in self._defaults.items():
                if default is not None:
                    payload.setdefault(name, default)
        return "".join(
            f',"{name}":{_value(value)}' for name, value in payload.items() if name != "type"
        )


def _ambient(ambient: Ambient) -> str:
    parts = [f',"{name}":{_quote(value)}' for name, value in ambient.names.items()]
    flags = ambient.all_flags()
    if flags:
        parts.append(f',"flags":{json.dumps(flags)}')
    if ambient.attributes:
        parts.append(f',"attributes":{json.dumps(ambient.attributes)}')
    return "".join(parts)


def _value(value: FieldValue) -> str:
    # The service reads money as a decimal, so a Decimal's digits go out as they are.
    return format(value, "f") if isinstance(value, Decimal) else json.dumps(value)
