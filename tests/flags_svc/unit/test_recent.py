from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flags_svc.live.recent import Recent
from tests.flags_svc.memory import MemoryConfiguration
from tests.flags_svc.replicas import a_flag, an_edit


@given(st.integers(0, 30), st.integers(1, 10), st.integers(0, 20), st.integers(0, 60))
def test_it_knows_the_last_revisions_and_says_where_it_does_not(
    begin: int, limit: int, number: int, asked: int
) -> None:
    configuration = MemoryConfiguration()
    configuration.put(*[an_edit(a_flag("f"))] * begin)
    recent = Recent(begin, limit=limit)
    changes = configuration.put(*[an_edit(a_flag("f"))] * number)
    recent.note(changes)
    newest, kept = begin + number, min(limit, number)

    found = recent.since(asked)

    if newest - kept <= asked <= newest:
        assert found is not None
        assert [touch.revision for touch in found] == list(range(newest, asked, -1))
    else:
        assert found is None
    times = {change.revision: change.at for change in changes[-kept:]}
    assert recent.at(asked) == (times.get(asked) if kept else None)
