"""What processes report of themselves."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from flags_svc.store.instances import Report
from windsock_kit.decoding import reading_json

MAX_EVALUATIONS = 1_000
_INTEGER = 2**53 - 1

Instance = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
Name = Annotated[str, Meta(max_length=200)]
# Keys and variants that cannot be are those of no flag here, and are passed over as such.
Key = Annotated[str, Meta(min_length=1, max_length=1_000)]
Variant = Annotated[str, Meta(min_length=1, max_length=1_000)]
Count = Annotated[int, Meta(ge=1, le=_INTEGER)]
Number = Annotated[int, Meta(ge=0, le=_INTEGER)]
Age = Annotated[float, Meta(ge=0, le=1e10)]


class Evaluated(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often a flag gave a variant; ``None`` for the caller's own default."""

    flag: Key
    variant: Variant | None
    count: Count


class ReportBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A report as it is sent."""

    instance: Instance
    kind: Literal["sdk"]
    name: Name
    environment: Name
    epoch: Name
    revision: Number
    sequence: Number
    applied_age_seconds: Age
    evaluations: Annotated[list[Evaluated], Meta(max_length=MAX_EVALUATIONS)] = []
    ended: bool = False


_bodies = msgspec.json.Decoder(ReportBody)


def report_of(body: bytes, at: float) -> tuple[Report, float]:
    """Return the report that came ``at`` some time, and for how long the process has been at its revision."""
    with reading_json(body):
        told = _bodies.decode(body)
    used: Counter[tuple[str, str | None]] = Counter()
    for each in told.evaluations:
        used[each.flag, each.variant] += each.count
    report = Report(
        instance=told.instance,
        kind=told.kind,
        name=told.name,
        environment=told.environment,
        epoch=told.epoch,
        revision=told.revision,
        sequence=told.sequence,
        at=at,
        used=used,
        ended=told.ended,
    )
    return report, told.applied_age_seconds
