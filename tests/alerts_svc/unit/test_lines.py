"""Messages as lines of text."""

from __future__ import annotations

from dataclasses import replace

from alerts_svc.domain.alert import Change
from alerts_svc.notify.lines import facts
from tests.alerts_svc.messages import ITEM, MESSAGE


def test_value_of_what_has_no_data_is_told_as_the_last_one() -> None:
    item = replace(ITEM, change=Change.NO_DATA)

    told = dict(facts(item, replace(MESSAGE, items=(item,))))

    assert told["last value"] == "12.4 % (limit: above 10 %)"
    assert "current" not in told
