"""The promises that flags keep through all faults, held against a record; pure.

F1  A change that was answered with success is in history, exactly once, as the revision that was told.
    None is there twice, none that nobody asked for, and none after a later one of the same author.
F2  Revisions are without a gap. Whoever evaluates goes through them forwards only, as long as it is one process
    and one epoch, and has at each what history says of it.
F3  When nothing is wrong any more, everybody has the newest values in time.
F4  Evaluation never raises, never gives a default, and is always answered, by a process that can.
F5  While the database is away, a change is answered with 503 and when to try again, and does not come true.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

from tests.faults.flags.record import Attempt, Away, Failed, Quiet, Record, Seen, Stored

DATABASE = "database"
DEFAULT = -1
UNAVAILABLE = 503
# A process that has just been let go on, or been started, answers what it was asked meanwhile.
GRACE_SECONDS = 3.0


def check(record: Record) -> list[str]:
    """Return each breach of a promise, in words."""
    return [
        *_lost_or_doubled(record),
        *_gaps(record),
        *_backwards(record.seen),
        *_untrue(record),
        *(problem for quiet in record.quiet for problem in _stale(quiet, record.seen)),
        *_unanswered(record),
        *_written_while_away(record),
    ]


def _lost_or_doubled(record: Record) -> Iterator[str]:
    asked = {(each.flag, each.number): each for each in record.attempts}
    places: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
    for epoch, rows in record.history.items():
        counted = Counter((row.flag, row.number) for row in rows if row.number is not None)
        for (flag, number), count in counted.items():
            if count > 1:
                yield f"F1 {flag}={number} is {count} times in history of {epoch}"
            if (flag, number) not in asked:
                yield f"F1 nobody asked for {flag}={number}"
        for row in rows:
            if row.number is not None:
                places[row.flag, row.number].add(row.revision)
        yield from _late(rows, asked)
    for attempt in record.attempts:
        found = places.get((attempt.flag, attempt.number), set())
        if _done(attempt) and attempt.revision not in found:
            yield f"F1 {attempt} is not in history, but at {sorted(found)}"


def _late(rows: Iterable[Stored], asked: Mapping[tuple[str, int], Attempt]) -> Iterator[str]:
    last: dict[str, int] = {}
    for row in rows:
        if row.number is None:
            continue
        if row.number < last.get(row.flag, row.number):
            later = asked.get((row.flag, last[row.flag]))
            yield f"F1 {asked.get((row.flag, row.number))} comes at {row.revision}, after {later}"
        last[row.flag] = row.number


def _done(attempt: Attempt) -> bool:
    return 200 <= attempt.status < 300


def _gaps(record: Record) -> Iterator[str]:
    for epoch, rows in record.history.items():
        for expected, row in enumerate(rows, 1):
            if row.revision != expected:
                yield f"F2 revision {row.revision} of {epoch} stands where {expected} belongs"
                break


def _backwards(seen: Iterable[Seen]) -> Iterator[str]:
    """Look at each process by itself; a service's steps are seen by the numbers, which grow with the revisions."""
    last: dict[tuple[str, int], Seen] = {}
    for now in seen:
        before = last.get((now.observer, now.life))
        last[now.observer, now.life] = now
        if before is None or before.epoch != now.epoch:
            continue
        if now.revision is not None and before.revision is not None:
            if now.revision < before.revision:
                yield f"F2 {now.observer} goes from revision {before.revision} back to {now.revision}"
        elif any(now.values.get(flag, 0) < number for flag, number in before.values.items()):
            yield f"F2 {now.observer} goes from {before.values} back to {now.values}"


def _untrue(record: Record) -> Iterator[str]:
    states = {epoch: _States(rows) for epoch, rows in record.history.items()}
    for each in record.seen:
        if each.revision is None or DEFAULT in each.values.values():
            continue
        known = states.get(each.epoch)
        true = None if known is None else known.at(each.revision)
        if true != each.values:
            yield f"F2 {each.observer} has {each.values} at {each.epoch}-{each.revision}, not {true}"


class _States:
    """What all counted flags are at each revision of one history."""

    def __init__(self, rows: Iterable[Stored]) -> None:
        self._revisions: list[int] = []
        self._states: list[dict[str, int]] = []
        state: dict[str, int] = {}
        for row in rows:
            if row.number is not None:
                state = {**state, row.flag: row.number}
            self._revisions.append(row.revision)
            self._states.append(state)

    def at(self, revision: int) -> Mapping[str, int] | None:
        index = bisect_right(self._revisions, revision) - 1
        return self._states[index] if index >= 0 and self._revisions[index] == revision else None


def _stale(quiet: Quiet, seen: Iterable[Seen]) -> Iterator[str]:
    until = quiet.at + quiet.within
    for observer in quiet.observers:
        own = [each for each in seen if each.observer == observer and each.at <= until]
        if not own:
            yield f"F3 {observer} has evaluated nothing"
        elif own[-1].at < quiet.at:
            yield f"F3 {observer} has evaluated nothing since all is well"
        elif any(own[-1].values.get(flag, DEFAULT) < number for flag, number in quiet.values.items()):  # fmt: skip
            yield f"F3 {observer} has {own[-1].values} {quiet.within:g} s after {quiet.values} was said"


def _unanswered(record: Record) -> Iterator[str]:
    for failure in record.failed:
        if not (failure.status == 0 and any(_excuses(away, failure) for away in record.away)):
            yield f"F4 {failure.observer}: {failure.what}"
    begun: set[tuple[str, int]] = set()
    for each in record.seen:
        process = (each.observer, each.life)
        if DEFAULT not in each.values.values():
            begun.add(process)
        elif process in begun:
            yield f"F4 {each.observer} gives defaults: {each.values}"


def _excuses(away: Away, failure: Failed) -> bool:
    # Who was asked a moment before it died does not answer either.
    began = failure.at if failure.began is None else failure.began
    meanwhile = away.begin <= failure.at and began <= away.end + GRACE_SECONDS
    return away.what == failure.observer and meanwhile


def _written_while_away(record: Record) -> Iterator[str]:
    stored = {(row.flag, row.number) for rows in record.history.values() for row in rows}
    databases = [away for away in record.away if away.what == DATABASE]
    others = [away for away in record.away if away.what != DATABASE]
    for attempt in record.attempts:
        for away in databases:
            if not away.begin <= attempt.began <= attempt.ended <= away.end:
                continue
            if attempt.status != UNAVAILABLE or attempt.retry_after is None:
                if attempt.status or not any(_overlaps(attempt, other) for other in others):
                    yield f"F5 {attempt} though the database is away"
            elif not away.silent and (attempt.flag, attempt.number) in stored:
                yield f"F5 {attempt} was refused, and came true"


def _overlaps(attempt: Attempt, away: Away) -> bool:
    return attempt.began <= away.end + GRACE_SECONDS and away.begin <= attempt.ended
