from __future__ import annotations

import pytest

from flags_svc.live.event_id import EventId
from flags_svc.live.standing import LAG_SECONDS, SILENT_SECONDS, Standing, standing
from flags_svc.store.instances import Instance

NOW = 1_000.0
HEAD = EventId("e", 10)


def at(revision: int, *, epoch: str = "e", silent: float = 0.0) -> Instance:
    return Instance("a", "sdk", "api", "production", epoch, revision, 0.0, NOW - silent)


@pytest.mark.parametrize(
    ("instance", "expected"),
    [
        (at(10), Standing.CURRENT),
        (at(11), Standing.CURRENT),
        (at(9), Standing.BEHIND),
        (at(8), Standing.LAGGING),
        (at(1), Standing.LAGGING),
        (at(10, epoch="another"), Standing.LAGGING),
        (at(10, silent=SILENT_SECONDS), Standing.CURRENT),
        (at(10, silent=SILENT_SECONDS + 1), Standing.SILENT),
        (at(1, silent=SILENT_SECONDS + 1), Standing.SILENT),
    ],
)
def test_who_lacks_a_revision_for_long_lags(instance: Instance, expected: Standing) -> None:
    committed = {10: NOW - LAG_SECONDS, 9: NOW - LAG_SECONDS - 1}

    assert standing(instance, HEAD, committed.get, NOW) is expected
