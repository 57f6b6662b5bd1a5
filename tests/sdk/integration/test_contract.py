"""What the SDK writes is what the service reads, whatever an application records."""

import gzip
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import windsock
from metrics_svc.domain.event import AnyEvent
from tests.sdk.unit.test_collector import METHODS, anything, keywords
from windsock.buffer import Record
from windsock.encoding import Encoder, batch_of
from windsock.testing import capture


class Request(msgspec.Struct, forbid_unknown_fields=True):
    batch_id: UUID
    events: list[AnyEvent]


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    method=st.sampled_from(METHODS),
    operation=st.text(min_size=1),
    second=st.floats(0, 10) | st.integers(0, 10) | st.text() | st.sampled_from(["l1", "prompt"]),
    context=keywords,
    metadata=anything,
)
def test_the_service_accepts_every_event(
    method: str, operation: str, second: Any, context: dict[str, Any], metadata: Any
) -> None:
    with capture() as captured:
        getattr(windsock.get_metrics_collector(), method)(operation, second, **context)
        with (
            pytest.raises(LookupError),
            windsock.track_performance(operation, metadata=metadata),
        ):
            raise LookupError(second)
        with windsock.track_performance(operation, metadata=metadata):
            pass
        records: list[Record] = [item for item in captured.buffer.events if type(item) is tuple]

    encoder = Encoder(windsock.Settings(default_model="gpt-4o"))
    body = gzip.decompress(batch_of([encoder.encode(record) for record in records]).body)

    assert 2 <= len(records) <= 3
    decoded = msgspec.json.decode(body, type=Request)
    assert len(decoded.events) == len(records)
