"""What processes report, counted once however often it comes."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime
from typing import Any

from flags_svc.domain.staleness import Used
from flags_svc.housekeeping import (
    INSTANCE_SECONDS,
    USAGE_SECONDS,
    WRITER_SECONDS,
    Housekeeping,
)
from flags_svc.store.applied import Applied
from flags_svc.store.instances import Instances, Report
from flags_svc.store.usage import MOST, Usage

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
DAY = 86_400.0


def a_report(instance: str = "a", sequence: int = 0, **given: Any) -> Report:
    """Return a report of an SDK in production."""
    found = {"revision": 5, "at": NOW, "used": {("f", "on"): 2, ("f", None): 1}, **given}
    return Report(instance, "sdk", "api", "production", "e", sequence=sequence, **found)


async def counted(pool: Any) -> int:
    return sum(used.count for each in (await Usage(pool).since(0)).values() for used in each)


async def test_a_process_is_shown_as_it_last_said(pool: Any) -> None:
    instances = Instances(pool)

    await instances.record([a_report()])
    await instances.record([a_report(sequence=1, revision=6, at=NOW + 5)])

    (found,) = await instances.seen(NOW, limit=9)
    assert (found.instance, found.kind, found.name) == ("a", "sdk", "api")
    assert (found.environment, found.epoch, found.revision) == ("production", "e", 6)
    assert (found.first_seen, found.last_seen) == (NOW, NOW + 5)
    assert await instances.seen(NOW + 6, limit=9) == []


async def test_what_was_evaluated_is_counted_by_flag_and_variant(pool: Any) -> None:
    await Instances(pool).record([a_report(), a_report("b", used={("f", "on"): 1, ("g", "x"): 3})])
    await Instances(pool).record([a_report(sequence=1, at=NOW + DAY, used={("f", "on"): 4})])

    assert await Usage(pool).since(NOW) == {
        "f": [Used("production", None, 1, NOW), Used("production", "on", 7, NOW + DAY)],
        "g": [Used("production", "x", 3, NOW)],
    }
    assert await Usage(pool).since(NOW + DAY) == {"f": [Used("production", "on", 4, NOW + DAY)]}


async def test_a_repeated_report_counts_nothing_twice(pool: Any) -> None:
    instances = Instances(pool)

    await instances.record([a_report(), a_report(sequence=1), a_report(sequence=1)])
    await instances.record([a_report(sequence=1), a_report(sequence=0), a_report("b")])

    assert await counted(pool) == 9


async def test_an_old_report_does_not_set_a_process_back(pool: Any) -> None:
    instances = Instances(pool)
    await instances.record([a_report(sequence=7, revision=9)])

    await instances.record([a_report(sequence=6, revision=8)])

    assert [found.revision for found in await instances.seen(0, limit=9)] == [9]


async def test_who_comes_to_another_revision_is_told_once(pool: Any) -> None:
    instances = Instances(pool)
    later = a_report(sequence=2, revision=6)

    first = await instances.record([a_report(), a_report(sequence=1)])
    moved = await instances.record([a_report("b"), later, a_report(sequence=3, revision=6)])
    again = await instances.record([later, a_report(sequence=4, revision=6)])

    assert (first, moved, again) == ([], [later], [])


async def test_of_one_report_to_many_processes_one_counts(pool: Any) -> None:
    instances = Instances(pool)
    reports = [a_report(str(n)) for n in range(20)]

    await asyncio.gather(*(instances.record(reports if n % 2 else reports[::-1]) for n in range(8)))

    assert await counted(pool) == 60
    assert len(await instances.seen(0, limit=99)) == 20


async def test_nothing_reported_is_nothing_done(pool: Any) -> None:
    await Instances(pool).record([])
    await Instances(pool).record([a_report(used={})])

    assert await counted(pool) == 0


async def test_counts_that_somebody_made_up_hold_nobody_up(pool: Any) -> None:
    instances = Instances(pool)

    for sequence in range(3):
        made_up = [a_report(str(n), sequence, used={("f", "on"): 2**70}) for n in range(3)]
        await instances.record([*made_up, a_report("a", sequence, used={("g", "on"): 1})])

    assert await Usage(pool).since(0) == {
        "f": [Used("production", "on", MOST, NOW)],
        "g": [Used("production", "on", 3, NOW)],
    }


async def test_text_that_postgresql_cannot_hold_is_reported_too(pool: Any) -> None:
    await Instances(pool).record([a_report(used={("f\0", "\ud800"): 1})])

    assert list(await Usage(pool).since(0)) == ["f\N{REPLACEMENT CHARACTER}"]


async def test_writers_add_up_and_write_as_often_as_they_like(pool: Any) -> None:
    applied = Applied(pool)

    await applied.put("a", {0.01: 5, math.inf: 1}, at=NOW)
    await applied.put("b", {0.01: 2, 0.1: 3}, at=NOW)
    await applied.put("a", {0.01: 7, math.inf: 1}, at=NOW)
    await applied.put("a", {0.01: 6}, at=NOW)

    assert await applied.total() == {0.01: 9, 0.1: 3, math.inf: 1}
    assert list(await applied.total()) == [0.01, 0.1, math.inf]


async def test_what_is_long_ago_is_forgotten_and_what_was_counted_stays(pool: Any) -> None:
    instances, usage, applied = Instances(pool), Usage(pool), Applied(pool)
    await instances.record(
        [
            a_report("old", at=NOW - INSTANCE_SECONDS - 1),
            a_report("live", at=NOW - 1),
            a_report("older", at=NOW - USAGE_SECONDS - 2 * DAY),
        ]
    )
    long_ago = NOW - WRITER_SECONDS - 1
    for writer in ("gone", "gone too", "live"):
        await applied.put(writer, {0.1: 2}, at=long_ago)
    await applied.put("new", {0.1: 2}, at=NOW)
    keeping = Housekeeping(instances, usage, applied, lambda: datetime.fromtimestamp(NOW, UTC))

    assert [await keeping.tick() for _ in range(2)] == [False, False]

    assert [found.instance for found in await instances.seen(0, limit=9)] == ["live"]
    writers = await pool.fetch("SELECT writer, count FROM flags.applied ORDER BY writer")
    assert [tuple(row) for row in writers] == [("", 4), ("live", 2), ("new", 2)]
    assert await applied.total() == {0.1: 8}


async def test_usage_is_forgotten_by_the_day(pool: Any) -> None:
    for sequence, at in enumerate((NOW - 3 * DAY, NOW - DAY, NOW)):
        await Instances(pool).record([a_report(sequence=sequence, at=at)])

    assert not await Usage(pool).forget(NOW - DAY)

    assert await counted(pool) == 6
